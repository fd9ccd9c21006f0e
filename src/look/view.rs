//! What every view of a dump answers, whatever it shows.

use facts::Gap;
use serde::Serialize;

use super::{
    Backtraces, CgroupView, CodeView, DiskView, InterruptView, Listed, MemoryView, ModuleDetail, ModuleView, NetView,
    Processes, QueueView, SearchView, SlabView, StructView, SymbolList, SysctlView, SystemView, WaitView, WhatList,
    Words,
};

/// What a command shows.
pub trait View: Serialize {
    /// Its list of what could not be read, where it has one.
    fn gaps(&mut self) -> Option<&mut Vec<Gap>> {
        None
    }

    /// A sentence for each word of the command line that names nothing, while others did.
    fn missing(&self) -> &[String] {
        &[]
    }
}

macro_rules! with_gaps {
    ($($view:ty),*) => {
        $(impl View for $view {
            fn gaps(&mut self) -> Option<&mut Vec<Gap>> {
                Some(&mut self.gaps)
            }
        })*
    };
}

with_gaps!(
    CgroupView,
    CodeView,
    DiskView,
    InterruptView,
    MemoryView,
    ModuleDetail,
    ModuleView,
    NetView,
    QueueView,
    SearchView,
    SlabView,
    StructView,
    SystemView,
    WaitView
);

impl<T: Serialize> View for Listed<T> {
    fn gaps(&mut self) -> Option<&mut Vec<Gap>> {
        Some(&mut self.gaps)
    }
}

impl View for Processes {
    fn gaps(&mut self) -> Option<&mut Vec<Gap>> {
        Some(&mut self.gaps)
    }

    fn missing(&self) -> &[String] {
        &self.missing
    }
}

impl View for Backtraces {
    fn gaps(&mut self) -> Option<&mut Vec<Gap>> {
        Some(&mut self.gaps)
    }

    fn missing(&self) -> &[String] {
        &self.missing
    }
}

impl View for SysctlView {
    fn gaps(&mut self) -> Option<&mut Vec<Gap>> {
        Some(&mut self.gaps)
    }

    fn missing(&self) -> &[String] {
        &self.missing
    }
}

impl View for SymbolList {
    fn missing(&self) -> &[String] {
        &self.missing
    }
}

impl View for WhatList {
    fn missing(&self) -> &[String] {
        &self.missing
    }
}

impl View for Words {}
