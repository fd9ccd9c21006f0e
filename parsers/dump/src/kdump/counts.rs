//! Counting the pages of a kdump by state: one pass over bitmaps and descriptors, made only
//! when somebody asks.

use std::collections::{BTreeMap, HashMap};

use super::{DESCRIPTOR_LEN, Kdump, Part};
use crate::info::PageCounts;

/// Shared pages that are told apart. makedumpfile shares one.
const MAX_SHARED: usize = 100_000;
/// Descriptors read at a time.
const BATCH: u64 = 4096;

impl Kdump {
    pub(crate) fn counts(&self) -> PageCounts {
        let mut counts = PageCounts::default();
        let Some(first) = self.parts.first() else {
            return counts;
        };
        let max_mapnr = first.header.fields.max_mapnr;
        counts.max_mapnr = max_mapnr;
        counts.dumpable = first.dumpable.rank(&first.image, max_mapnr);
        if let Some(ram) = &first.ram {
            let ram_pages = ram.rank(&first.image, max_mapnr);
            counts.ram = Some(ram_pages);
            counts.excluded = Some(ram_pages.saturating_sub(counts.dumpable));
            counts.not_ram = Some(max_mapnr.saturating_sub(ram_pages));
        }
        for part in &self.parts {
            part.count(&mut counts);
        }
        let told = counts.present + counts.zero_descriptor + counts.beyond_end_of_file;
        counts.in_missing_part = counts.dumpable.saturating_sub(told);
        counts
    }
}

impl Part {
    fn count(&self, counts: &mut PageCounts) {
        let image = &self.image;
        let start = self.dumpable.rank(image, self.pfns.start);
        let total = self.dumpable.rank(image, self.pfns.end).saturating_sub(start);
        let endian = self.header.endian;
        let mut shared: HashMap<u64, u64> = HashMap::new();
        let mut highest = 0;
        let mut by_codec: BTreeMap<u32, u64> = BTreeMap::new();
        let seen = self.each_descriptor(total, |descriptor| {
            let offset = endian.u64(descriptor, 0).unwrap_or(0);
            let size = endian.u32(descriptor, 8).unwrap_or(0);
            if offset == 0 {
                counts.zero_descriptor += 1;
            } else if offset.checked_add(size.into()).is_none_or(|end| end > image.len()) {
                counts.beyond_end_of_file += 1;
            } else {
                counts.present += 1;
                *by_codec.entry(endian.u32(descriptor, 12).unwrap_or(0)).or_default() += 1;
                // Data is written in page order: a page that points back is a shared one.
                if offset > highest {
                    highest = offset;
                } else if shared.len() < MAX_SHARED || shared.contains_key(&offset) {
                    *shared.entry(offset).or_default() += 1;
                }
            }
        });
        counts.beyond_end_of_file += total - seen;
        for (flags, pages) in by_codec {
            match self.codec_of(flags) {
                Some(codec) => *counts.by_codec.entry(codec).or_default() += pages,
                None => counts.unknown_codec += pages,
            }
        }
        // Whether the first page of a group pointed back is not known: count the largest again.
        let mut most = u64::from(counts.present > 0);
        if let Some((&offset, _)) = shared.iter().max_by_key(|&(&offset, &pages)| (pages, offset)) {
            most = 0;
            self.each_descriptor(total, |descriptor| {
                most += u64::from(endian.u64(descriptor, 0) == Some(offset));
            });
        }
        counts.sharing_the_most_shared_page = counts.sharing_the_most_shared_page.max(most);
    }

    /// Calls `look` with each descriptor that lies in the file; how many there were.
    fn each_descriptor(&self, total: u64, mut look: impl FnMut(&[u8])) -> u64 {
        let mut index = 0;
        while index < total {
            let at = self.header.descriptors.saturating_add(index.saturating_mul(DESCRIPTOR_LEN as u64));
            let want = (total - index).min(BATCH) as usize * DESCRIPTOR_LEN;
            let bytes = self.image.read_some(at, want);
            let (batch, _) = bytes.as_chunks::<DESCRIPTOR_LEN>();
            if batch.is_empty() {
                break;
            }
            batch.iter().for_each(|descriptor| look(descriptor));
            index += batch.len() as u64;
        }
        index
    }
}
