//! `unregister_netdevice: waiting for eth0 to become free. Usage count = 1`

use facts::FieldType;

use super::{Before, Family, From, Opened, field, kind, no_body, no_finish};
use crate::Line;
use crate::class;
use crate::cursor::Cursor;
use crate::event::{Event, Severity};

pub(super) static FAMILY: Family = Family {
    name: "unregister_netdevice",
    anchors: &["unregister_netdevice: waiting for "],
    from: From::Kernel,
    open,
    body: no_body,
    finish: no_finish,
    kind: kind(
        "log.unregister_netdevice",
        "A network device that is being removed waits for its references to be given back",
        &[
            field("device", FieldType::Text, "", "name of the device"),
            field(
                "usage",
                FieldType::Int,
                "",
                "references still held, as printed; the base is 0 up to 5.12 and 1 from 5.13 on",
            ),
        ],
    ),
};

fn open(line: &Line<'_>, _: Before<'_>) -> Option<Opened> {
    let mut c = Cursor::new(line.text());
    if !c.take("unregister_netdevice: waiting for ") {
        return None;
    }
    let device = c.until(" to become free")?;
    c.skip_past("Usage count = ");
    let usage = c.int();
    Opened::line(
        Event::new(FAMILY.name, class::UNREGISTER_NETDEVICE, Severity::Report)
            .titled("unregister_netdevice: waiting for a device to become free")
            .with("device", device)
            .with_opt("usage", usage),
    )
}
