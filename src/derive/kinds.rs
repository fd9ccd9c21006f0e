//! The table of what is concluded.

use facts::{FieldDef, FieldType, KindDef};

const fn field(name: &'static str, ty: FieldType, doc: &'static str) -> FieldDef {
    FieldDef { name, ty, unit: "", doc }
}

use FieldType::{Int, List, Text};

const EVENT: FieldDef = field("event", Int, "position of the fact it is concluded from, counted from 0");

/// Every kind of fact that is concluded from other facts.
pub const KINDS: &[KindDef] = &[
    KindDef {
        kind: "derived.blamed",
        doc: "The function an engineer would open first, helpers passed over",
        fields: &[
            EVENT,
            field("class", Text, "event class"),
            field("function", Text, "the function"),
            field("module", Text, "its module; absent for the kernel itself"),
            field("reason", Text, "why this one"),
            field("candidates", List, "up to three functions, best first: function, module, reason"),
            field("alternatives", List, "functions that others would name"),
            field("freed_by", Text, "use after free: the function that freed the object"),
            field("allocated_by", Text, "the function that allocated the object"),
        ],
    },
    KindDef {
        kind: "derived.signature",
        doc: "A stable key of the failure: class, deciding frames, module",
        fields: &[
            EVENT,
            field("signature", Text, "the key"),
            field("class", Text, "event class"),
            field("frames", List, "up to three deciding frames, innermost first"),
            field("module", Text, "module of the first"),
            field("alternatives", List, "keys the same failure may have with other compilers or kernels"),
        ],
    },
];
