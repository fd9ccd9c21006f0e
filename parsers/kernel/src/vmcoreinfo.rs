//! VMCOREINFO: what the kernel says of itself for dump readers.

use std::collections::HashMap;

/// Bytes of the largest structure: `pglist_data` of a kernel with 1024 nodes has some hundred thousand.
const MAX_STRUCTURE: u64 = 1 << 20;

/// The parsed text. Values are as the kernel wrote them; the accessors know the forms.
#[derive(Clone, Debug, Default)]
pub struct Vmcoreinfo {
    text: String,
    values: HashMap<String, String>,
}

impl Vmcoreinfo {
    /// Parses `KEY=VALUE` lines. Where a key comes twice the last value counts, as a crash appends to the text.
    pub fn parse(text: &str) -> Self {
        let values = text
            .lines()
            .filter_map(|line| line.split_once('='))
            .map(|(key, value)| (key.to_owned(), value.trim_end_matches('\0').to_owned()))
            .collect();
        Vmcoreinfo { text: text.to_owned(), values }
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The value of a whole key, `OSRELEASE` or `NUMBER(phys_base)`.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(String::as_str)
    }

    /// `SYMBOL(name)`: a run-time address, written in hex without `0x`.
    pub fn symbol(&self, name: &str) -> Option<u64> {
        let text = self.get(&format!("SYMBOL({name})"))?;
        u64::from_str_radix(text.trim_start_matches("0x"), 16).ok()
    }

    /// All symbols with their run-time addresses.
    pub fn symbols(&self) -> impl Iterator<Item = (&str, u64)> {
        self.values.iter().filter_map(|(key, value)| {
            let name = key.strip_prefix("SYMBOL(")?.strip_suffix(')')?;
            Some((name, u64::from_str_radix(value.trim_start_matches("0x"), 16).ok()?))
        })
    }

    /// `NUMBER(name)`: signed decimal where the kernel's macro wrote it, hex with `0x` where written by hand.
    /// Negative numbers come as their two's complement.
    pub fn number(&self, name: &str) -> Option<u64> {
        let text = self.get(&format!("NUMBER({name})"))?;
        match text.strip_prefix("0x") {
            Some(hex) => u64::from_str_radix(hex, 16).ok(),
            None => text.parse::<i64>().map(|n| n as u64).or_else(|_| text.parse::<u64>()).ok(),
        }
    }

    /// `OFFSET(type.member)` in bytes; none when no structure has room for it.
    pub fn offset(&self, path: &str) -> Option<u64> {
        self.get(&format!("OFFSET({path})"))?.parse().ok().filter(|n| *n <= MAX_STRUCTURE)
    }

    /// `SIZE(type)` in bytes; none when no structure is that large.
    pub fn size(&self, name: &str) -> Option<u64> {
        self.get(&format!("SIZE({name})"))?.parse().ok().filter(|n| *n <= MAX_STRUCTURE)
    }

    /// Paths and values of all offsets.
    pub fn offsets(&self) -> impl Iterator<Item = (&str, u64)> {
        self.values.keys().filter_map(|key| {
            let path = key.strip_prefix("OFFSET(")?.strip_suffix(')')?;
            Some((path, self.offset(path)?))
        })
    }

    /// Names and values of all sizes.
    pub fn sizes(&self) -> impl Iterator<Item = (&str, u64)> {
        self.values.keys().filter_map(|key| {
            let name = key.strip_prefix("SIZE(")?.strip_suffix(')')?;
            Some((name, self.size(name)?))
        })
    }

    /// `LENGTH(array)` in elements.
    pub fn length(&self, name: &str) -> Option<u64> {
        self.get(&format!("LENGTH({name})"))?.parse().ok()
    }

    /// `OSRELEASE`: what `uname -r` prints.
    pub fn release(&self) -> Option<&str> {
        self.get("OSRELEASE")
    }

    /// `PAGESIZE` in bytes.
    pub fn page_size(&self) -> Option<u64> {
        self.get("PAGESIZE")?.parse().ok()
    }

    /// `KERNELOFFSET`: run-time less link-time addresses, hex without `0x`.
    pub fn kernel_offset(&self) -> Option<u64> {
        u64::from_str_radix(self.get("KERNELOFFSET")?, 16).ok()
    }

    /// `CRASHTIME`: seconds since 1970, only in a dump that the crashed kernel's kexec made.
    pub fn crash_time(&self) -> Option<i64> {
        self.get("CRASHTIME")?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_of_number_is_read() {
        let info = Vmcoreinfo::parse(
            "OSRELEASE=6.1.0\nPAGESIZE=4096\nSYMBOL(prb)=ffffffff8ce62540\nNUMBER(phys_base)=-717225984\n\
             NUMBER(kimage_voffset)=0xffff800007600000\nOFFSET(printk_info.seq)=0\nKERNELOFFSET=a400000\n",
        );
        assert_eq!(info.symbol("prb"), Some(0xffff_ffff_8ce6_2540));
        assert_eq!(info.number("phys_base"), Some(-717_225_984i64 as u64));
        assert_eq!(info.number("kimage_voffset"), Some(0xffff_8000_0760_0000));
        assert_eq!(info.offset("printk_info.seq"), Some(0));
        assert_eq!(info.kernel_offset(), Some(0x0a40_0000));
        assert_eq!(info.crash_time(), None);
        let info =
            Vmcoreinfo::parse("OFFSET(a.b)=18446744073709551615\nOFFSET(a.c)=1048577\nSIZE(a)=9223372036854775807\n");
        assert_eq!((info.offset("a.b"), info.offset("a.c"), info.size("a")), (None, None, None));
    }
}
