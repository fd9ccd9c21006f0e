//! A vmlinux: its identity, its sections, its BTF or DWARF; compressed too, and inside a bzImage.

use std::collections::HashSet;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::btf::Btf;
use super::{Source, dwarf};

/// Debug sections of the largest distribution kernels have some 200 MB.
const MAX_SECTION: u64 = 2 << 30;
/// A kernel has some hundred sections.
const MAX_SECTIONS: usize = 65_536;
const SHF_COMPRESSED: u64 = 0x800;
/// The largest vmlinux with debug information has some 1.2 GB.
const MAX_FILE: u64 = 4 << 30;
/// The largest bzImage has some 20 MB.
const MAX_PAYLOAD: u64 = 256 << 20;
/// KiB that the decoder of xz may take: a file of `xz -9` needs 64 MiB.
const XZ_MEMORY: u32 = 128 << 10;

/// A section.
pub(crate) struct Place {
    pub(crate) name: String,
    kind: u32,
    pub(crate) flags: u64,
    address: u64,
    offset: u64,
    size: u64,
}

/// An ELF file with the kernel's symbols and types. Safe to share between threads.
pub struct Vmlinux {
    path: PathBuf,
    file: Mutex<File>,
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
        let mut file = unpacked(File::open(path).map_err(|e| e.to_string())?)?;
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
        Ok(Vmlinux { path: path.to_owned(), file: Mutex::new(file), places })
    }

    /// The file's name as it was given.
    pub(crate) fn name(&self) -> String {
        self.path.display().to_string()
    }

    /// The sections in their order.
    pub(crate) fn places(&self) -> &[Place] {
        &self.places
    }

    fn bytes(&self, at: u64, size: u64) -> Result<Vec<u8>, String> {
        let mut file = self.file.lock().map_err(|_| "reading it stopped halfway")?;
        bytes(&mut *file, at, size)
    }

    /// Contents of a section, decompressed; empty when there is none.
    pub(crate) fn section(&self, name: &str) -> Result<Vec<u8>, String> {
        let Some(place) = self.places.iter().find(|p| p.name == name && p.kind != 8) else { return Ok(Vec::new()) };
        let raw = self.bytes(place.offset, place.size)?;
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

    /// Names that one function of the code has, and no other.
    pub(crate) fn functions(&self) -> HashSet<String> {
        let sections = self.section(".symtab").and_then(|symbols| Ok((symbols, self.section(".strtab")?)));
        let Ok((symbols, strings)) = sections else { return HashSet::new() };
        let (mut once, mut several) = (HashSet::new(), HashSet::new());
        // STT_FUNC
        for symbol in symbols.chunks_exact(24).filter(|symbol| number(symbol, 4, 1) & 15 == 2) {
            let rest = strings.get(number(symbol, 0, 4) as usize..).unwrap_or_default();
            let name = memchr::memchr(0, rest).and_then(|end| std::str::from_utf8(rest.get(..end)?).ok());
            if let Some(name) = name
                && !once.insert(name.to_owned())
            {
                several.insert(name.to_owned());
            }
        }
        once.retain(|name| !several.contains(name));
        once
    }

    /// The banner, `Linux version ...`, without its line end. By its symbol: since 6.1 the image also has a
    /// placeholder that looks like it.
    pub fn banner(&self) -> Option<String> {
        let address = self.symbol("linux_banner")?;
        let place = self.places.iter().find(|p| {
            p.address != 0 && address.checked_sub(p.address).is_some_and(|within| within < p.size) && p.kind != 8
        })?;
        let offset = address.checked_sub(place.address)?;
        let text = self.bytes(place.offset.checked_add(offset)?, place.size.checked_sub(offset)?.min(1024)).ok()?;
        let text = text.get(..memchr::memchr2(0, b'\n', &text)?)?;
        text.starts_with(b"Linux version ").then(|| String::from_utf8_lossy(text).into_owned())
    }

    /// Machine of the ELF header: `x86_64`, `aarch64`.
    pub fn arch(&self) -> Option<crate::Arch> {
        match number(&self.bytes(18, 2).ok()?, 0, 2) {
            62 => Some(crate::Arch::X86_64),
            183 => Some(crate::Arch::Aarch64),
            _ => None,
        }
    }

    /// Whether it has types at all.
    pub(crate) fn has_types(&self) -> bool {
        self.places.iter().any(|place| matches!(place.name.as_str(), ".BTF" | ".debug_info") && place.kind != 8)
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

/// The ELF file in a file: itself, or what a compressed one or a bzImage holds, in an unnamed temporary file.
fn unpacked(mut file: File) -> Result<File, String> {
    let head = bytes(&mut file, 0, 4).unwrap_or_default();
    if head.starts_with(b"\x7fELF") {
        return Ok(file);
    }
    // The boot protocol: Documentation/arch/x86/boot.rst. The payload is in the protected-mode part, behind the
    // sectors of the real-mode part.
    let setup = bytes(&mut file, 0, 0x250).unwrap_or_default();
    if setup.get(0x202..0x206) == Some(b"HdrS") {
        let sectors = match number(&setup, 0x1f1, 1) {
            0 => 4,
            n => n,
        };
        let at = (sectors + 1) * 512 + number(&setup, 0x248, 4);
        let length = number(&setup, 0x24c, 4);
        if number(&setup, 0x206, 2) < 0x208 || length > MAX_PAYLOAD {
            return Err("a bzImage whose boot protocol does not tell where the kernel is".into());
        }
        let payload = bytes(&mut file, at, length)?;
        return decompressed(payload.as_slice(), payload.get(..6).unwrap_or_default());
    }
    let head = bytes(&mut file, 0, 6).unwrap_or_default();
    file.seek(SeekFrom::Start(0)).map_err(|e| e.to_string())?;
    decompressed(std::io::BufReader::new(file), &head)
}

fn decompressed(packed: impl Read, head: &[u8]) -> Result<File, String> {
    let out = tempfile::tempfile().map_err(|e| format!("no temporary file for what it holds: {e}"))?;
    let mut writer = std::io::BufWriter::new(out);
    let mut reader: Box<dyn Read + '_> = match head {
        [0x1f, 0x8b, ..] => Box::new(flate2::read::GzDecoder::new(packed)),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => {
            Box::new(lzma_rust2::XzReader::new_mem_limit(packed, false, XZ_MEMORY))
        }
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            Box::new(ruzstd::decoding::StreamingDecoder::new(packed).map_err(|e| e.to_string())?)
        }
        _ => {
            return Err(
                "expected a 64-bit little-endian ELF file, one compressed with gzip, xz or zstd, or a bzImage".into()
            );
        }
    };
    let size = std::io::copy(&mut reader.by_ref().take(MAX_FILE + 1), &mut writer).map_err(|e| e.to_string())?;
    if size > MAX_FILE {
        return Err(format!("it holds more than {} GiB", MAX_FILE >> 30));
    }
    writer.into_inner().map_err(|e| e.to_string())
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

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// An ELF file with a build-id and one section at the end of the address space.
    fn elf() -> Vec<u8> {
        let mut out = vec![0u8; 64];
        out[..6].copy_from_slice(b"\x7fELF\x02\x01");
        out[18] = 62;
        let names = b"\0.note.gnu.build-id\0.shstrtab\0.symtab\0.strtab\0.rodata\0";
        let mut note = b"\x04\0\0\0\x14\0\0\0\x03\0\0\0GNU\0".to_vec();
        note.extend_from_slice(&[0xab; 20]);
        let mut symbol = [0u8; 24];
        symbol[0] = 1;
        symbol[8..16].copy_from_slice(&(u64::MAX - 7).to_le_bytes());
        let mut places = Vec::new();
        for part in [names.as_slice(), &note, &symbol, b"\0linux_banner\0", b"Linux version 1\n"] {
            places.push((out.len() as u64, part.len() as u64));
            out.extend_from_slice(part);
        }
        let table = out.len() as u64;
        out[40..48].copy_from_slice(&table.to_le_bytes());
        for (at, value) in [(58, 64u16), (60, 5), (62, 0)] {
            out[at..at + 2].copy_from_slice(&value.to_le_bytes());
        }
        for (nth, name) in [20u32, 1, 30, 38, 46].into_iter().enumerate() {
            let mut section = [0u8; 64];
            section[..4].copy_from_slice(&name.to_le_bytes());
            section[4] = 1;
            section[24..32].copy_from_slice(&places[nth].0.to_le_bytes());
            section[32..40].copy_from_slice(&places[nth].1.to_le_bytes());
            if nth == 4 {
                section[16..24].copy_from_slice(&(u64::MAX - 7).to_le_bytes());
            }
            out.extend_from_slice(&section);
        }
        out
    }

    fn opened(bytes: &[u8]) -> Result<Vmlinux, String> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        Vmlinux::open(file.path())
    }

    #[test]
    fn a_compressed_vmlinux_is_read_by_its_content() {
        let elf = elf();
        let gzip = || {
            let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            gzip.write_all(&elf).unwrap();
            gzip.finish().unwrap()
        };
        let mut xz = lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(1)).unwrap();
        xz.write_all(&elf).unwrap();
        let xz = xz.finish().unwrap();
        let zstd = ruzstd::encoding::compress_to_vec(&elf[..], ruzstd::encoding::CompressionLevel::Fastest);
        let mut image = vec![0u8; 1024];
        image[0x1f1] = 1;
        image[0x202..0x206].copy_from_slice(b"HdrS");
        image[0x206..0x208].copy_from_slice(&0x20fu16.to_le_bytes());
        image[0x248..0x24c].copy_from_slice(&16u32.to_le_bytes());
        image[0x24c..0x250].copy_from_slice(&(gzip().len() as u32 + 4).to_le_bytes());
        image.extend_from_slice(&[0; 16]);
        image.extend(gzip());
        image.extend_from_slice(&(elf.len() as u32).to_le_bytes());
        for (name, bytes) in [("plain", elf.clone()), ("gzip", gzip()), ("xz", xz), ("zstd", zstd), ("bzImage", image)]
        {
            let file = opened(&bytes).unwrap_or_else(|why| panic!("{name}: {why}"));
            assert_eq!(file.build_id().as_deref(), Some("ab".repeat(20).as_str()), "{name}");
        }
        assert!(opened(b"no kernel at all").is_err());
        assert!(opened(&gzip()[..60]).is_err());
    }

    #[test]
    fn a_section_at_the_end_of_the_address_space_is_read() {
        // Its end is no number of 64 bits.
        assert_eq!(opened(&elf()).unwrap().banner().as_deref(), Some("Linux version 1"));
    }
}
