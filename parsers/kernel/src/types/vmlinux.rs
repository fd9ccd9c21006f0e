//! A vmlinux as a source of types: its identity, its BTF or DWARF.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use super::btf::Btf;
use super::{Source, dwarf};

/// Debug sections of the largest distribution kernels have some 200 MB.
const MAX_SECTION: u64 = 2 << 30;
/// A kernel has some hundred sections.
const MAX_SECTIONS: usize = 65_536;
const SHF_COMPRESSED: u64 = 0x800;

struct Place {
    name: String,
    kind: u32,
    flags: u64,
    address: u64,
    offset: u64,
    size: u64,
}

/// An ELF file with the kernel's types.
pub struct Vmlinux {
    file: File,
    places: Vec<Place>,
}

fn number(bytes: &[u8], at: usize, size: usize) -> u64 {
    let mut word = [0; 8];
    if let (Some(from), Some(to)) = (bytes.get(at..at + size), word.get_mut(..size)) {
        to.copy_from_slice(from);
    }
    u64::from_le_bytes(word)
}

impl Vmlinux {
    /// Opens a vmlinux; only its headers are read.
    ///
    /// # Errors
    /// A sentence that says what was expected and found.
    pub fn open(path: &Path) -> Result<Vmlinux, String> {
        Self::read_headers(path).map_err(|why| format!("{}: {why}", path.display()))
    }

    fn read_headers(path: &Path) -> Result<Vmlinux, String> {
        let mut file = File::open(path).map_err(|e| e.to_string())?;
        let header = bytes(&mut file, 0, 64)?;
        if !header.starts_with(b"\x7fELF\x02\x01") {
            return Err("expected a 64-bit little-endian ELF file".into());
        }
        let (at, entry) = (number(&header, 40, 8), number(&header, 58, 2));
        let (count, names) = (number(&header, 60, 2), number(&header, 62, 2));
        if entry < 64 || count as usize > MAX_SECTIONS {
            return Err("it has no section headers".into());
        }
        let table = bytes(&mut file, at, entry * count)?;
        let raw: Vec<&[u8]> = table.chunks_exact(entry as usize).collect();
        let strings = raw.get(names as usize).ok_or("it has no names of sections")?;
        let strings = bytes(&mut file, number(strings, 24, 8), number(strings, 32, 8).min(1 << 24))?;
        let places = raw
            .iter()
            .map(|s| {
                let text = strings.get(number(s, 0, 4) as usize..).unwrap_or_default();
                let end = memchr::memchr(0, text).unwrap_or(text.len());
                Place {
                    name: String::from_utf8_lossy(text.get(..end).unwrap_or_default()).into_owned(),
                    kind: number(s, 4, 4) as u32,
                    flags: number(s, 8, 8),
                    address: number(s, 16, 8),
                    offset: number(s, 24, 8),
                    size: number(s, 32, 8),
                }
            })
            .collect();
        Ok(Vmlinux { file, places })
    }

    /// Contents of a section, decompressed; empty when there is none.
    pub(crate) fn section(&self, name: &str) -> Result<Vec<u8>, String> {
        let Some(place) = self.places.iter().find(|p| p.name == name && p.kind != 8) else { return Ok(Vec::new()) };
        let mut file = &self.file;
        let raw = bytes(&mut file, place.offset, place.size)?;
        if place.flags & SHF_COMPRESSED == 0 {
            return Ok(raw);
        }
        // Elf64_Chdr: type, reserved, size, alignment.
        let (kind, size) = (number(&raw, 0, 4), number(&raw, 8, 8));
        let body = raw.get(24..).unwrap_or_default();
        let mut out = Vec::new();
        let limit = size.min(MAX_SECTION);
        match kind {
            1 => flate2::read::ZlibDecoder::new(body).take(limit).read_to_end(&mut out).map_err(|e| e.to_string())?,
            2 => {
                let decoder = ruzstd::decoding::StreamingDecoder::new(body).map_err(|e| e.to_string())?;
                decoder.take(limit).read_to_end(&mut out).map_err(|e| e.to_string())?
            }
            other => return Err(format!("section {name} is compressed in a way ({other}) that is not known")),
        };
        Ok(out)
    }

    /// The GNU build-id in hex.
    pub fn build_id(&self) -> Option<String> {
        for name in [".notes", ".note.gnu.build-id"] {
            let notes = self.section(name).ok()?;
            let at = memchr::memmem::find(&notes, b"\x04\0\0\0\x14\0\0\0\x03\0\0\0GNU\0");
            if let Some(id) = at.and_then(|at| notes.get(at + 16..at + 36)) {
                return Some(id.iter().map(|byte| format!("{byte:02x}")).collect());
            }
        }
        None
    }

    /// The link address of a symbol.
    pub fn symbol(&self, name: &str) -> Option<u64> {
        let (symbols, strings) = (self.section(".symtab").ok()?, self.section(".strtab").ok()?);
        let named = |symbol: &&[u8]| {
            let text = strings.get(number(symbol, 0, 4) as usize..).unwrap_or_default();
            text.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.first() == Some(&0))
        };
        symbols.chunks_exact(24).find(named).map(|s| number(s, 8, 8))
    }

    /// The banner, `Linux version ...`, without its line end. By its symbol: since 6.1 the image also has a
    /// placeholder that looks like it.
    pub fn banner(&self) -> Option<String> {
        let address = self.symbol("linux_banner")?;
        let place =
            self.places.iter().find(|p| p.address != 0 && (p.address..p.address + p.size).contains(&address))?;
        let mut file = &self.file;
        let offset = address - place.address;
        let text = bytes(&mut file, place.offset + offset, (place.size - offset).min(1024)).ok()?;
        let text = text.get(..memchr::memchr2(0, b'\n', &text)?)?;
        text.starts_with(b"Linux version ").then(|| String::from_utf8_lossy(text).into_owned())
    }

    /// Machine of the ELF header: `x86_64`, `aarch64`.
    pub fn arch(&self) -> Option<crate::Arch> {
        let mut file = &self.file;
        match number(&bytes(&mut file, 18, 2).ok()?, 0, 2) {
            62 => Some(crate::Arch::X86_64),
            183 => Some(crate::Arch::Aarch64),
            _ => None,
        }
    }

    /// The types: BTF where it has it, which takes no time, else DWARF.
    ///
    /// # Errors
    /// A sentence when it has neither, or what it has cannot be read.
    pub fn types(&self) -> Result<Arc<dyn Source>, String> {
        let raw = self.section(".BTF")?;
        if !raw.is_empty() {
            return Ok(Arc::new(Btf::parse("BTF of vmlinux", raw, None).map_err(|e| e.to_string())?));
        }
        if !self.places.iter().any(|p| p.name == ".debug_info" && p.kind != 8) {
            return Err("it has neither BTF nor DWARF".into());
        }
        let raw = gimli::DwarfSections::load(|id| self.section(id.name()))?;
        let dwarf = raw.borrow(|section| dwarf::Section::new(section, gimli::LittleEndian));
        dwarf::types(&dwarf).map(|graph| Arc::new(graph) as Arc<dyn Source>).map_err(|e| e.to_string())
    }
}

fn bytes(mut file: impl Read + Seek, at: u64, size: u64) -> Result<Vec<u8>, String> {
    if size > MAX_SECTION {
        return Err(format!("a part of {size} bytes"));
    }
    file.seek(SeekFrom::Start(at)).map_err(|e| e.to_string())?;
    let mut out = Vec::new();
    file.take(size).read_to_end(&mut out).map_err(|e| e.to_string())?;
    match out.len() as u64 == size {
        true => Ok(out),
        false => Err(format!("it ends before byte {}", at.saturating_add(size))),
    }
}
