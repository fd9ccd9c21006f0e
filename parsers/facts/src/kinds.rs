//! The tables in which parsers say what facts they make.

/// One fact kind: its dotted name, its named values, one line of doc.
#[derive(Clone, Copy, Debug)]
pub struct KindDef {
    /// `log.unregister_netdevice`, `mem.net_device`, `cgroup.kmem`.
    pub kind: &'static str,
    /// One line.
    pub doc: &'static str,
    /// The values a fact of this kind may carry; each may be absent.
    pub fields: &'static [FieldDef],
}

/// One named value of a kind.
#[derive(Clone, Copy, Debug)]
pub struct FieldDef {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub ty: FieldType,
    /// Unit, or empty: `bytes`, `pages`, `s`, `kB`.
    pub unit: &'static str,
    /// One line.
    pub doc: &'static str,
}

/// A field, for the tables of kinds.
pub const fn field(name: &'static str, ty: FieldType, unit: &'static str, doc: &'static str) -> FieldDef {
    FieldDef { name, ty, unit, doc }
}

/// A field without a unit.
pub const fn plain_field(name: &'static str, ty: FieldType, doc: &'static str) -> FieldDef {
    field(name, ty, "", doc)
}

/// The type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldType {
    /// `Value::Bool`
    Bool,
    /// `Value::Int` or `Value::Unsigned`
    Int,
    /// `Value::Float`
    Float,
    /// `Value::Text`
    Text,
    /// `Value::Address`
    Address,
    /// `Value::List`
    List,
    /// `Value::Record`
    Record,
}
