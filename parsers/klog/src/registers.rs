//! The registers of a report.

/// Longest name of a register.
pub(crate) const MAX_NAME: usize = 9;
/// More registers than this are no register block.
const MAX_REGISTERS: usize = 96;

/// One register. The name stands in the value itself: a report has dozens, and logs have thousands of reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Register {
    name: [u8; MAX_NAME],
    length: u8,
    value: u64,
}

impl Register {
    fn name(&self) -> &str {
        self.name.get(..usize::from(self.length)).and_then(|name| str::from_utf8(name).ok()).unwrap_or_default()
    }
}

/// Values of registers by their upper- or lower-case names as printed, in the order of the text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Registers(Vec<Register>);

impl Registers {
    /// The value of a register.
    pub fn get(&self, name: &str) -> Option<u64> {
        self.0.iter().find(|register| register.name() == name).map(|register| register.value)
    }

    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|register| (register.name(), register.value))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Bytes that they take in memory.
    pub(crate) fn weight(&self) -> usize {
        self.0.capacity() * size_of::<Register>()
    }

    /// Adds a register whose value is not known yet; a second value of one is that of an outer context. A name longer
    /// than [`MAX_NAME`] is none.
    pub(crate) fn add(&mut self, name: &str, value: u64) {
        let mut bytes = [0; MAX_NAME];
        let Some(slot) = bytes.get_mut(..name.len()) else { return };
        slot.copy_from_slice(name.as_bytes());
        let length = name.len() as u8;
        let known = |r: &Register| r.name == bytes && r.length == length;
        if self.0.len() < MAX_REGISTERS && !self.0.iter().any(known) {
            if self.0.is_empty() {
                self.0.reserve(24);
            }
            self.0.push(Register { name: bytes, length, value });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_value_stays_and_long_names_are_none() {
        let mut registers = Registers::default();
        for (name, value) in [("RAX", 1), ("RBX", 2), ("RAX", 3), ("ORIG_RAX_X", 4), ("ORIG_RAX", 5)] {
            registers.add(name, value);
        }
        assert_eq!(registers.iter().collect::<Vec<_>>(), [("RAX", 1), ("RBX", 2), ("ORIG_RAX", 5)]);
        assert_eq!((registers.get("RAX"), registers.get("RA"), registers.get("ORIG_RAX_X")), (Some(1), None, None));
        (0..200).for_each(|n| registers.add(&format!("x{n}"), n));
        assert_eq!(registers.len(), MAX_REGISTERS);
    }
}
