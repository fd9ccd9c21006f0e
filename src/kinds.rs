//! Every fact kind there is: the tables of all parsers, and of what is concluded here.

use facts::{FieldDef, FieldType, KindDef};

/// Kinds made outside the parsers.
const OWN: &[KindDef] = &[
    KindDef {
        kind: "dump.state",
        doc: "whether the machine had crashed when the dump was taken",
        fields: &[
            FieldDef { name: "live", ty: FieldType::Bool, unit: "", doc: "no CPU panicked, and the log has no panic" },
            FieldDef { name: "cpu", ty: FieldType::Int, unit: "", doc: "the CPU that panicked" },
        ],
    },
    KindDef {
        kind: "fix.status",
        doc: "whether the kernel of the case has a fix commit",
        fields: &[
            FieldDef { name: "sha", ty: FieldType::Text, unit: "", doc: "commit id, 12 hex digits or more" },
            FieldDef { name: "subject", ty: FieldType::Text, unit: "", doc: "its subject" },
            FieldDef { name: "state", ty: FieldType::Text, unit: "", doc: "missing, present, not-needed, unknown" },
            FieldDef { name: "why", ty: FieldType::Text, unit: "", doc: "the reason, for a person to check" },
        ],
    },
];

/// All kinds.
pub fn all() -> Vec<KindDef> {
    let mut kinds: Vec<KindDef> = OWN.to_vec();
    kinds.extend(klog::kinds());
    // What every event may carry, listed once.
    kinds.push(KindDef {
        kind: "log.*",
        doc: "values that every event of a log may carry",
        fields: klog::COMMON_FIELDS,
    });
    kinds.extend(snapshot::KINDS.iter().copied());
    kinds.extend(kernel::kinds().copied());
    kinds.extend(crate::derive::KINDS.iter().copied());
    kinds.extend(crate::fixes::KINDS.iter().copied());
    kinds
}
