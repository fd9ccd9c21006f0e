//! cpio in its ASCII forms: `newc`, `crc` and `odc`.

use std::cell::RefCell;
use std::io::{self, Read};
use std::rc::Rc;

use crate::archive::{Namer, Shared, Window};
use crate::limits::Account;
use crate::member::{Lazy, Raw};
use crate::walk::{Flow, Visit, member};

struct Header {
    mode: u64,
    size: u64,
    name_size: u64,
    /// Header and data are padded to multiples of this.
    align: u64,
    length: u64,
}

/// Walks a cpio stream.
pub(crate) fn walk<'x>(
    stream: Box<dyn Read + 'x>,
    archive: &str,
    depth: u32,
    account: &'x Account<'x>,
    visit: &mut Visit<'_>,
) -> Flow {
    let mut namer = Namer::new(archive, account);
    let flow = match entries(stream, &mut namer, depth, account, visit) {
        Ok(flow) => flow,
        Err(error) => {
            let why = match error.kind() {
                io::ErrorKind::UnexpectedEof => "the archive ends before its trailer".to_owned(),
                _ => error.to_string(),
            };
            account.gap("rest of the archive", archive, why, "an undamaged copy of the archive");
            Flow::Continue
        }
    };
    namer.finish();
    flow
}

fn entries<'x>(
    stream: Box<dyn Read + 'x>,
    namer: &mut Namer<'_>,
    depth: u32,
    account: &'x Account<'x>,
    visit: &mut Visit<'_>,
) -> io::Result<Flow> {
    let stream: Shared<'x> = Rc::new(RefCell::new(stream));
    loop {
        let header = header(&stream)?;
        if header.name_size == 0 || header.name_size > (1 << 20) {
            return Err(io::Error::other(format!("a name of {} bytes", header.name_size)));
        }
        let window = Window::new(&stream, header.name_size);
        let mut name = Vec::new();
        window.clone().read_to_end(&mut name)?;
        let gap = |length: u64| (header.align - length % header.align) % header.align;
        window.skip(gap(header.length + header.name_size))?;
        name.pop();
        if name == b"TRAILER!!!" {
            return Ok(Flow::Continue);
        }
        let data = Window::new(&stream, header.size);
        if header.mode & 0o170_000 == 0o100_000 {
            let raw = Raw::Stream(Box::new(data.clone()));
            let lazy = Lazy::new(namer.name(&name), Some(header.size), account, raw);
            if member(lazy, depth, account, visit) == Flow::Stop {
                return Ok(Flow::Stop);
            }
        }
        data.skip(gap(header.size))?;
    }
}

fn header(stream: &Shared<'_>) -> io::Result<Header> {
    let mut magic = [0u8; 6];
    stream.borrow_mut().read_exact(&mut magic)?;
    match &magic {
        b"070701" | b"070702" => {
            let mut rest = [0u8; 104];
            stream.borrow_mut().read_exact(&mut rest)?;
            let field = |i: usize| number(rest.get(i * 8..i * 8 + 8), 16);
            Ok(Header { mode: field(1)?, size: field(6)?, name_size: field(11)?, align: 4, length: 110 })
        }
        b"070707" => {
            let mut rest = [0u8; 70];
            stream.borrow_mut().read_exact(&mut rest)?;
            let field = |from: usize, to: usize| number(rest.get(from..to), 8);
            Ok(Header { mode: field(12, 18)?, size: field(59, 70)?, name_size: field(53, 59)?, align: 1, length: 76 })
        }
        _ => Err(io::Error::other("no cpio header where one was due")),
    }
}

fn number(digits: Option<&[u8]>, radix: u32) -> io::Result<u64> {
    digits
        .and_then(|d| std::str::from_utf8(d).ok())
        .and_then(|t| u64::from_str_radix(t, radix).ok())
        .ok_or_else(|| io::Error::other("damaged cpio header"))
}
