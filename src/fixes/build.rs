//! Build numbers of RHEL and its clones: a main line, and z-stream branches off it.

use std::fmt;

use serde::Serialize;

/// The numbers between `3.10.0-` and `.el7`, with what their form says about the line they are on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Build {
    /// 6, 7, 8, 9, 10.
    pub major: u32,
    /// The numbers, in their order: `[957, 27, 2]`.
    pub numbers: Vec<u32>,
    /// The main line, or a branch off a released build.
    pub line: Line,
    /// The minor release this build belongs to, when it is a released one or a z-stream of it.
    pub minor: Option<u32>,
}

/// Where a build stands. A z-stream is a branch: 957.27.2 is not "after" 1039.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Line {
    /// The first kernel of a minor release.
    Ga,
    /// A build of the main line between two minor releases.
    Development,
    /// A z-stream build, on the branch named by its first number.
    ZStream,
}

/// First kernel build of each minor release. Source: the release notes of the vendor and the changelogs; minor counts from 0.
const GA: &[(u32, &[u32])] = &[
    (6, &[71, 131, 220, 279, 358, 431, 504, 573, 642, 696, 754]),
    (7, &[123, 229, 327, 514, 693, 862, 957, 1062, 1127, 1160]),
    (8, &[80, 147, 193, 240, 305, 348, 372, 425, 477, 513, 553]),
    (9, &[70, 162, 284, 362, 427, 503, 570]),
    (10, &[55]),
];

fn ga(major: u32) -> &'static [u32] {
    GA.iter().find(|(m, _)| *m == major).map_or(&[], |(_, builds)| builds)
}

impl Build {
    /// Classes the numbers of a release. `stream` is the `M` of `.elN_M`.
    pub(crate) fn new(major: u32, numbers: Vec<u32>, stream: Option<u32>) -> Self {
        let first = numbers.first().copied().unwrap_or(0);
        let released = ga(major).iter().position(|&build| build == first).and_then(|i| u32::try_from(i).ok());
        let line = if stream.is_some() || numbers.len() > 2 {
            Line::ZStream
        } else if released.is_some() && numbers.len() == 1 {
            Line::Ga
        } else {
            Line::Development
        };
        let minor = match line {
            Line::Development => None,
            Line::Ga | Line::ZStream => stream.or(released),
        };
        Build { major, numbers, line, minor }
    }

    /// The first number: the main-line build, or the build that the z-stream branched off.
    pub fn stream(&self) -> u32 {
        self.numbers.first().copied().unwrap_or(0)
    }

    /// The numbers after the first.
    pub fn z(&self) -> &[u32] {
        self.numbers.get(1..).unwrap_or(&[])
    }

    /// Whether this build has what entered the main line with build `main`.
    ///
    /// From RHEL 8 on a two-part number (192.2) is a build of the *next* minor, made beside the last builds of the
    /// current one: 193, the first kernel of 8.2, does not have what 192.2 brought. RHEL 7 numbered one line only.
    /// A three-part number is the first kernel of a minor (372.9.1).
    pub(crate) fn reaches(&self, main: &[u32]) -> bool {
        let Some(&first) = main.first() else { return false };
        let stream = self.stream();
        match (main.len(), self.line) {
            (2, _) if self.major >= 8 => {
                if self.line == Line::Development && self.numbers.len() == 2 {
                    return self.numbers.as_slice() >= main;
                }
                let branch_point = ga(self.major).iter().copied().find(|&build| build >= first).unwrap_or(first);
                stream > branch_point
            }
            (3.., Line::ZStream) if stream == first => self.numbers.as_slice() >= main,
            (_, Line::ZStream) => [stream].as_slice() >= main,
            _ => self.numbers.as_slice() >= main,
        }
    }
}

impl fmt::Display for Build {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, number) in self.numbers.iter().enumerate() {
            if i > 0 {
                f.write_str(".")?;
            }
            write!(f, "{number}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(major: u32, numbers: &[u32], stream: Option<u32>) -> Build {
        Build::new(major, numbers.to_vec(), stream)
    }

    #[test]
    fn a_z_stream_is_not_after_a_later_main_line_build() {
        assert!(!build(7, &[957, 27, 2], None).reaches(&[1039]));
        assert!(build(7, &[1062, 4, 1], None).reaches(&[1039]));
        assert!(build(7, &[1160, 119, 1], None).reaches(&[1126, 2]));
    }

    #[test]
    fn a_two_part_build_of_rhel_8_belongs_to_the_next_minor() {
        for (numbers, has) in
            [(&[176][..], false), (&[193], false), (&[240], true), (&[192, 2], true), (&[192, 1], false)]
        {
            assert_eq!(build(8, numbers, None).reaches(&[192, 2]), has, "{numbers:?}");
        }
        assert!(!build(8, &[193, 28, 1], Some(2)).reaches(&[192, 2]));
        assert!(build(7, &[1127], None).reaches(&[1126, 2]));
    }

    #[test]
    fn a_three_part_first_kernel_is_compared_in_full_on_its_own_stream() {
        assert!(build(8, &[372, 9, 1], None).reaches(&[372, 9, 1]));
        assert!(!build(8, &[372, 8, 1], None).reaches(&[372, 9, 1]));
        assert!(build(8, &[425, 3, 1], None).reaches(&[372, 9, 1]));
        assert!(!build(8, &[348, 23, 1], Some(5)).reaches(&[372, 9, 1]));
    }

    #[test]
    fn the_line_and_minor_come_from_the_form() {
        assert_eq!((build(7, &[957], None).line, build(7, &[957], None).minor), (Line::Ga, Some(6)));
        assert_eq!(build(8, &[358], None).line, Line::Development);
        assert_eq!(build(8, &[147, 12], None).line, Line::Development);
        assert_eq!(build(8, &[305, 28, 1], Some(4)).minor, Some(4));
    }
}
