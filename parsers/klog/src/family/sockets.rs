//! What the network stack says when it cannot make its own sockets, and when an address is taken.

use facts::FieldType;

use super::{Before, Family, From, Opened, field, kind, no_body, no_finish};
use crate::cursor::{between, number_after, split};
use crate::event::{Event, Severity};
use crate::{Line, class};

pub(super) static CONTROL: Family = Family {
    name: "control_socket_failure",
    anchors: &[" control socket"],
    from: From::Kernel,
    open: open_control,
    body: no_body,
    finish: no_finish,
    kind: kind(
        "log.control_socket_failure",
        "A protocol could not make its control socket while a network namespace was set up",
        &[
            field("protocol", FieldType::Text, "", "ICMP6, NDISC, IGMP6, TCP, ..."),
            field("err", FieldType::Int, "", "negative errno; -23 is ENFILE: no socket inode could be had"),
        ],
    ),
};

pub(super) static NO_MORE: Family = Family {
    name: "no_more_sockets",
    anchors: &["socket: no more sockets"],
    from: From::Kernel,
    open: open_no_more,
    body: no_body,
    finish: no_finish,
    kind: kind("log.no_more_sockets", "The inode of a new socket could not be allocated", &[]),
};

pub(super) static DAD: Family = Family {
    name: "dad_failed",
    anchors: &["IPv6 duplicate address"],
    from: From::Kernel,
    open: open_dad,
    body: no_body,
    finish: no_finish,
    kind: kind(
        "log.dad_failed",
        "Duplicate address detection failed for an IPv6 address",
        &[
            field("device", FieldType::Text, "", "network device"),
            field("device_address", FieldType::Text, "", "the address"),
            field("used_by", FieldType::Text, "", "hardware address of the other owner, where printed"),
        ],
    ),
};

fn open_control(line: &Line<'_>, _: Before<'_>) -> Option<Opened> {
    let text = line.text();
    let start = text.find("Failed to ").or_else(|| text.find("failed to "))?;
    if start > 32 {
        return None;
    }
    let protocol = between(text, " the ", " control socket")?;
    Opened::line(
        Event::new(CONTROL.name, class::RESOURCE_EXHAUSTION, Severity::Failure)
            .titled(format!("failed to make the {protocol} control socket"))
            .with("protocol", protocol)
            .with_opt("err", number_after(text, "(err ").or_else(|| number_after(text, "err "))),
    )
}

fn open_no_more(line: &Line<'_>, _: Before<'_>) -> Option<Opened> {
    line.text().starts_with("socket: no more sockets").then_some(())?;
    Opened::line(
        Event::new(NO_MORE.name, class::RESOURCE_EXHAUSTION, Severity::Failure).titled("socket: no more sockets"),
    )
}

fn open_dad(line: &Line<'_>, _: Before<'_>) -> Option<Opened> {
    let text = line.text();
    let (before, rest) = split(text, ": IPv6 duplicate address ")?;
    let device = before.rsplit(": ").next().unwrap_or(before).rsplit(' ').next()?;
    let mut words = rest.split(' ');
    let address = words.next()?;
    Opened::line(
        Event::new(DAD.name, class::WARNING, Severity::Notice)
            .titled("IPv6 duplicate address detected")
            .with("device", device)
            .with("device_address", address)
            .with_opt("used_by", between(rest, "used by ", " ")),
    )
}
