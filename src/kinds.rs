//! Every fact kind there is: the tables of all parsers, and of what is concluded here.

use facts::{FieldDef, FieldType, KindDef};

/// Kinds made outside the parsers.
const OWN: &[KindDef] = &[KindDef {
    kind: "fix.status",
    doc: "whether the kernel of the case has a fix commit",
    fields: &[
        FieldDef { name: "sha", ty: FieldType::Text, unit: "", doc: "commit id, 12 hex digits or more" },
        FieldDef { name: "subject", ty: FieldType::Text, unit: "", doc: "its subject" },
        FieldDef { name: "state", ty: FieldType::Text, unit: "", doc: "missing, present, not-needed, unknown" },
        FieldDef { name: "why", ty: FieldType::Text, unit: "", doc: "the reason, for a person to check" },
    ],
}];

/// All kinds.
pub fn all() -> Vec<KindDef> {
    let mut kinds: Vec<KindDef> = OWN.to_vec();
    kinds.extend(klog::kinds());
    kinds.extend(kernel::KINDS.iter().chain(kernel::waits::KINDS).chain(kernel::fault::KINDS).copied());
    kinds.extend(crate::derive::KINDS.iter().copied());
    kinds.extend(crate::fixes::KINDS.iter().copied());
    kinds
}
