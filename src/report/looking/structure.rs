//! `struct` as text, in the form of crash and gdb.

use std::fmt::Write as _;

use crate::look::{ElementRow, FieldRow, MemberValue, StructView, Value};
use crate::report::printable;
use crate::report::table::{address, gaps};

/// How a structure is printed.
#[derive(Clone, Copy, Debug, Default)]
pub struct StructStyle {
    /// Offsets before the members of a layout.
    pub offsets: bool,
    /// Numbers in hex.
    pub hex: bool,
}

/// A type, or structures in memory.
pub fn structure(view: &StructView, style: StructStyle, width: Option<usize>) -> String {
    let mut page =
        Page { out: String::new(), style, width: width.unwrap_or(120).max(40), mark: view.size.to_string().len() + 4 };
    if !view.enumerators.is_empty() && view.objects.is_empty() {
        let _ = writeln!(page.out, "{} {{", printable(&view.name));
        for row in &view.enumerators {
            let _ = writeln!(page.out, "  {} = {}", printable(&row.name), page.number(row.value.into()));
        }
        page.out.push_str("};\n");
    } else if let Some(declaration) = view.declaration.as_ref().filter(|_| view.objects.is_empty()) {
        let _ = writeln!(page.out, "{};", printable(declaration));
    } else if view.objects.is_empty() {
        page.layout(view);
    }
    let several = view.listed.is_some() || view.objects.len() > 1;
    for object in &view.objects {
        if several {
            let _ = writeln!(page.out, "{}", address(object.address));
        }
        match object.members.as_slice() {
            [only] if only.name.is_empty() && only.members.is_empty() => page.field(only, "", 0),
            members => page.object(&view.name, members, view.chosen),
        }
    }
    if let Some(count) = view.listed {
        let shown = view.objects.len();
        let more = if shown < count { format!(", {shown} shown (--limit)") } else { String::new() };
        let _ = writeln!(page.out, "{count} elements{more}");
    }
    if view.objects.is_empty() && view.listed.is_none() && view.size > 0 {
        let _ = write!(page.out, "SIZE: {}", view.size);
        let others = match view.definitions {
            0 | 1 => String::new(),
            n => format!("; {n} definitions have this name, the first is shown"),
        };
        let _ = writeln!(page.out, "   ({}{others})", printable(&view.source));
    }
    gaps(&mut page.out, &view.gaps);
    page.out
}

struct Page {
    out: String,
    style: StructStyle,
    width: usize,
    /// Columns of an offset.
    mark: usize,
}

impl Page {
    fn number(&self, n: i128) -> String {
        match self.style.hex {
            true if n < 0 => format!("{:#x}", n as i64),
            true => format!("{n:#x}"),
            false => n.to_string(),
        }
    }

    fn layout(&mut self, view: &StructView) {
        let _ = writeln!(self.out, "{} {{", printable(&view.name));
        self.members(&view.members, 1);
        self.out.push_str("}\n");
    }

    fn members(&mut self, rows: &[FieldRow], depth: usize) {
        for row in rows {
            let indent = "    ".repeat(depth);
            let mark = match (self.style.offsets, row.members.is_empty(), row.bits) {
                (false, ..) => String::new(),
                (true, false, _) => " ".repeat(self.mark - 1),
                (true, true, Some(bits)) if bits.first > 0 => {
                    format!("{:>1$} ", format!("[{}.{}]", row.offset, bits.first), self.mark)
                }
                (true, true, _) => format!("{:>1$} ", format!("[{}]", row.offset), self.mark),
            };
            if row.members.is_empty() {
                let empty = if row.declaration == "struct" || row.declaration == "union" { " {}" } else { "" };
                let indent = if self.style.offsets { "    ".repeat(depth - 1) } else { indent };
                let _ = writeln!(self.out, "{mark}{indent}{}{empty};", printable(&row.declaration));
                continue;
            }
            let keyword = if row.type_name.starts_with("union") { "union" } else { "struct" };
            let indent = if self.style.offsets { "    ".repeat(depth - 1) + "  " } else { indent };
            let _ = writeln!(self.out, "{mark}{indent}{keyword} {{");
            self.members(&row.members, depth + 1);
            let name = if row.name.is_empty() { String::new() } else { format!(" {}", printable(&row.name)) };
            let _ = writeln!(self.out, "{mark}{indent}}}{name};");
        }
    }

    /// Chosen members stand alone, as crash prints them.
    fn object(&mut self, name: &str, members: &[FieldRow], chosen: bool) {
        if !chosen {
            let _ = writeln!(self.out, "{} {{", printable(name));
        }
        for (n, row) in members.iter().enumerate() {
            let comma = if n + 1 < members.len() { "," } else { "" };
            self.field(row, comma, 1);
        }
        if !chosen {
            self.out.push_str("}\n");
        }
    }

    fn field(&mut self, row: &FieldRow, comma: &str, depth: usize) {
        let mut text = if row.name.is_empty() { String::new() } else { format!("{} = ", printable(&row.name)) };
        if let Some(value) = &row.value {
            self.value(&mut text, value, depth);
        }
        let note = match row.nodes {
            Some(0) => "   /* empty list */".to_owned(),
            Some(1) => "   /* 1 other node */".to_owned(),
            Some(n) => format!("   /* {n} other nodes */"),
            None => String::new(),
        };
        let _ = writeln!(self.out, "{}{text}{comma}{note}", "  ".repeat(depth));
    }

    fn value(&self, out: &mut String, value: &Value, depth: usize) {
        let _ = match value {
            Value::Bool(b) => write!(out, "{b}"),
            Value::Number(n) => write!(out, "{}", self.number(n.0)),
            Value::Wide(n) if self.style.hex => write!(out, "{:#x}", n.0),
            Value::Wide(n) => write!(out, "{}", n.0),
            Value::Enumerator { enumerator, .. } => write!(out, "{}", printable(enumerator)),
            Value::Pointer { pointer, symbol, text } => {
                let _ = write!(out, "{:#x}", pointer.0);
                if let Some(symbol) = symbol {
                    let _ = write!(out, " <{}>", printable(symbol));
                }
                match text {
                    Some(text) => write!(out, " \"{}\"", printable(text)),
                    None => Ok(()),
                }
            }
            Value::Text { text } => write!(out, "\"{}\"", printable(text)),
            Value::Deeper { deeper } => write!(out, "{{...}} /* {} */", printable(deeper)),
            Value::Absent { absent } => write!(out, "?  /* {} */", printable(absent)),
            Value::Members { members } => {
                self.inner(out, members, depth);
                Ok(())
            }
            Value::Array { elements, more } => {
                self.array(out, elements, *more, depth);
                Ok(())
            }
        };
    }

    fn inner(&self, out: &mut String, members: &[MemberValue], depth: usize) {
        if members.is_empty() {
            out.push_str("{<No data fields>}");
            return;
        }
        out.push_str("{\n");
        for (n, member) in members.iter().enumerate() {
            let _ = write!(out, "{}", "  ".repeat(depth + 1));
            if !member.name.is_empty() {
                let _ = write!(out, "{} = ", printable(&member.name));
            }
            self.value(out, &member.value, depth + 1);
            out.push_str(if n + 1 < members.len() { ",\n" } else { "\n" });
        }
        let _ = write!(out, "{}}}", "  ".repeat(depth));
    }

    /// More than this many equal elements are printed as one, as gdb does.
    const REPEATS: u64 = 10;

    fn array(&self, out: &mut String, elements: &[ElementRow], more: u64, depth: usize) {
        let mut parts = Vec::new();
        for ElementRow { value, times } in elements {
            let mut text = String::new();
            self.value(&mut text, value, depth + 1);
            if *times > Self::REPEATS {
                parts.push(format!("{text} <repeats {times} times>"));
            } else {
                parts.extend((0..*times).map(|_| text.clone()));
            }
        }
        if more > 0 {
            parts.push(format!("... {more} more"));
        }
        let mut column = depth * 2 + out.rsplit('\n').next().map_or(0, str::len) + 1;
        out.push('{');
        for (n, part) in parts.iter().enumerate() {
            if n > 0 {
                out.push(',');
                if column + part.len() + 2 > self.width && !part.contains('\n') {
                    let _ = write!(out, "\n{}", "  ".repeat(depth + 1));
                    column = depth * 2 + 2;
                } else {
                    out.push(' ');
                }
            }
            column += part.len() + 2;
            out.push_str(part);
        }
        out.push('}');
    }
}
