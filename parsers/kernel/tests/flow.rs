//! What the code of a function tells of the types in its registers, against the locations of variables in DWARF.

mod evidence;

use std::collections::{BTreeMap, BTreeSet};

use dump::Dump;
use kernel::fault::Oops;
use kernel::{Kernel, Sources, VirtAddr};

/// First and last offset, register, type: by function.
type Variables = BTreeMap<String, Vec<(u64, u64, String, String)>>;

fn variables() -> Variables {
    let text = std::fs::read_to_string(evidence::committed().join("vmcores/ip6mr-null.variables.tsv")).unwrap();
    let mut found = Variables::new();
    for line in text.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let [function, from, to, register, ty] = fields[..] else { panic!("{line}") };
        let entry = (from.parse().unwrap(), to.parse().unwrap(), register.to_owned(), ty.to_owned());
        found.entry(function.to_owned()).or_default().push(entry);
    }
    found
}

/// The structures that begin where one of that type does: itself, its first member, that one's first member.
fn at_start(kernel: &Kernel<'_>, ty: &str) -> BTreeSet<String> {
    let types = kernel.types();
    let mut found = BTreeSet::from([ty.to_owned()]);
    let mut next = types.find_all(ty);
    while let Some(ty) = next.pop() {
        let Some(layout) = types.layout(ty) else { continue };
        for (_, member) in layout.members.iter().filter(|(_, member)| member.offset == 0) {
            if let Some(ty) = member.ty
                && found.insert(types.base_name(ty))
            {
                next.push(ty);
            }
        }
    }
    found
}

#[test]
fn types_in_registers_are_those_of_the_debug_information() {
    let dump = Dump::open(&[evidence::committed().join("vmcores/ip6mr-null.kdump")]).unwrap();
    let kernel = Kernel::open(&dump, Sources::default()).unwrap();
    let (mut same, mut nested, mut told, mut wrong) = (0, 0, 0, Vec::new());
    for (function, variables) in variables() {
        let [start] = kernel.symbols(&function)[..] else { continue };
        for (at, access) in kernel.accesses(VirtAddr(start), None) {
            let within = at.0 - start;
            let here = |(from, to, register, _): &&(u64, u64, String, String)| {
                (*from..*to).contains(&within) && register == access.register
            };
            let said: Vec<&String> = variables.iter().filter(here).map(|(.., ty)| ty).collect();
            if said.is_empty() {
                continue;
            }
            told += 1;
            let Some(held) = access.held.filter(|held| held.plus == 0) else { continue };
            let Some(ours) = held.to.map(|ty| kernel.types().base_name(ty)) else { continue };
            if said.contains(&&ours) {
                same += 1;
            } else if said.iter().any(|ty| at_start(&kernel, ty).contains(&ours) || ours == "struct list_head") {
                nested += 1;
            } else {
                wrong.push(format!("{function}+{within:#x} {}: {ours}, DWARF says {said:?}", access.register));
            }
        }
    }
    println!("{told} accesses through a variable, {same} of its type, {nested} of a part of it");
    assert!(told > 500 && same * 10 > told * 6, "{same} of {told}");
    assert!(nested * 20 < same, "{nested} nested, {same} the same");
    assert!(wrong.len() * 200 < same, "{wrong:#?}");
}

/// The source of 6.1: `ip6mr_for_each_table(mrt, net)` in `ip6mr_sk_done()` begins with the list's first entry, and
/// `sk == rcu_access_pointer(mrt->mroute_sk)` is the access; `mroute_clean_tables(mrt, ...)` takes the entry.
#[test]
fn the_member_of_a_list_s_entry_is_named() {
    let dump = Dump::open(&[evidence::committed().join("vmcores/ip6mr-null.kdump")]).unwrap();
    let kernel = Kernel::open(&dump, Sources::default()).unwrap();
    let oops = Oops {
        function: "ip6mr_sk_done",
        within: Some(0x5e),
        address: Some(0x30),
        registers: [("RBX", 0)].into(),
        ..Oops::default()
    };
    let fault = kernel.fault_fact(&oops).unwrap();
    assert_eq!(fault.text("member"), Some("mr_table.mroute_sk"));
    assert_eq!(fault.text("holds"), Some("struct mr_table"));
    assert_eq!(fault.text("path"), Some("sk->__sk_common.skc_net.net->ipv6.mr6_tables.next"));
    assert!(fault.quote.contains("mroute_clean_tables"), "{}", fault.quote);
    // rawv6_close() calls it with its own first parameter.
    let [close] = kernel.symbols("rawv6_close")[..] else { panic!("one symbol") };
    let [done] = kernel.symbols("ip6mr_sk_done")[..] else { panic!("one symbol") };
    let given = kernel.argument_at(VirtAddr(close + 0x1c), VirtAddr(done), 0).unwrap();
    assert_eq!((given.path.as_deref(), given.parameter), (Some("sk"), Some(0)));
    assert!(kernel.argument_at(VirtAddr(close + 0x1c), VirtAddr(close), 0).is_none());
    // Another function's bytes are no proof of anything.
    let other = Oops { code: Some("<90> 90"), ..oops };
    assert_eq!(kernel.fault_fact(&other), None);
}

/// Tasks are objects of a cache; nothing is mapped 32 TiB away from the direct map of so small a machine.
#[test]
fn a_pointer_is_seen_to_be_one_bit_off_an_object() {
    let dump = Dump::open(&[evidence::committed().join("vmcores/ip6mr-null.kdump")]).unwrap();
    let kernel = Kernel::open(&dump, Sources::default()).unwrap();
    let one_bit = |base: u64| {
        let oops = Oops {
            function: "ip6mr_sk_done",
            within: Some(0x5e),
            address: Some(base + 0x30),
            registers: [("RBX", base)].into(),
            ..Oops::default()
        };
        kernel.fault_fact(&oops).unwrap().text("one_bit").map(str::to_owned)
    };
    let tasks: Vec<u64> =
        kernel.tasks().items.iter().map(|task| task.address.0).filter(|at| *at >> 44 != 0xfffff).collect();
    assert!(tasks.len() > 10);
    for bit in [45, 50, 62] {
        let told = tasks.iter().filter(|at| {
            let said = one_bit(**at ^ (1 << bit)).unwrap_or_default();
            said.contains(&format!("{at:#x}, an allocated object of task_struct, with bit {bit} flipped"))
        });
        assert!(told.count() + 2 >= tasks.len(), "bit {bit}");
    }
    // The middle of an object, an address that is mapped, and two bits.
    let at = *tasks.last().unwrap();
    assert_eq!([(at + 8) ^ (1 << 45), at, at ^ (5 << 45), 0].map(one_bit), [const { None }; 4]);
}

/// What a pack made of a kernel's types says of its functions, and of the structures that they are given.
#[test]
fn a_pack_has_the_prototypes_that_it_was_made_of() {
    let dump = Dump::open(&[evidence::committed().join("vmcores/ip6mr-null.kdump")]).unwrap();
    let kernel = Kernel::open(&dump, Sources::default()).unwrap();
    let [start, end] = ["__start_BTF", "__stop_BTF"].map(|name| kernel.symbol_at(name).unwrap());
    let bytes = kernel.bytes(start, (end.0 - start.0) as usize).unwrap();
    let btf = kernel::types::Btf::parse("BTF", bytes, None).unwrap();
    let names = kernel.all_symbols().map(|symbol| symbol.name.into_owned()).collect();
    let header = kernel::types::pack::Header { banner: kernel.banner(), ..Default::default() };
    let bytes = kernel::types::pack::encode(&header, &btf, &names).unwrap();
    let mut packed = kernel::types::Types::none();
    packed.add(kernel::types::pack::Pack::parse(&bytes).unwrap().types());
    let types = kernel.types();
    let (mut same, mut members) = (0, 0);
    for name in &names {
        let Some(theirs) = types.function(name, None) else { continue };
        let given = std::iter::once(theirs.result).chain(theirs.parameters.iter().map(|(_, ty)| *ty));
        let structures: Vec<_> =
            given.filter_map(|ty| types.pointee(ty)).filter(|ty| types.is_structure(*ty)).collect();
        let Some(ours) = packed.function(name, None) else {
            assert!(structures.is_empty(), "{name} takes a structure and is not in the pack");
            continue;
        };
        let plain =
            |types: &kernel::types::Types, ty| types.type_name(ty).replace("const ", "").replace("volatile ", "");
        assert_eq!(plain(&packed, ours.result), plain(types, theirs.result), "{name}");
        assert_eq!(ours.parameters.len(), theirs.parameters.len(), "{name}");
        for ((our, ty), (their, other)) in ours.parameters.iter().zip(&theirs.parameters) {
            assert_eq!((our, plain(&packed, *ty)), (their, plain(types, *other)), "{name}");
            let pointees = packed.pointee(*ty).zip(types.pointee(*other)).filter(|(_, ty)| types.is_structure(*ty));
            let Some((ty, other)) = pointees else { continue };
            for offset in [0, 8, 48, 128, 500] {
                let paths = |types: &kernel::types::Types, ty| -> Vec<(String, u64)> {
                    types.leaves(ty, offset, 8).into_iter().map(|leaf| (leaf.path, leaf.size)).collect()
                };
                assert_eq!(paths(&packed, ty), paths(types, other), "{name}, {our}+{offset}");
                members += 1;
            }
        }
        same += 1;
    }
    println!("{same} functions, {members} members, {} bytes", bytes.len());
    assert!(same > 5000 && members > 10_000, "{same} functions, {members} members");
}

/// Whether a function ends in a jump to another, or to one that does, or somewhere by a pointer.
fn jumps_to(kernel: &Kernel<'_>, from: &str, to: &str, hops: u32) -> bool {
    let [start] = kernel.symbols(from)[..] else { return false };
    let Some(size) = kernel.symbolize(VirtAddr(start)).and_then(|symbol| symbol.size) else { return false };
    let code = kernel.disassemble(VirtAddr(start), VirtAddr(start + size), usize::MAX).items;
    if code.iter().any(|i| i.text.starts_with("jmp") && (i.text.contains('*') || i.text.contains("thunk"))) {
        return true;
    }
    let jumps = code.iter().filter(|i| i.text.starts_with('j')).filter_map(|i| kernel.symbolize(i.target?));
    let others: BTreeSet<String> = jumps.filter(|s| s.offset == 0 && s.name != from).map(|s| s.name).collect();
    others.contains(to) || hops > 1 && others.iter().any(|next| jumps_to(kernel, next, to, hops - 1))
}

/// Of two neighbouring frames the inner one is what the call before the outer one's address went to.
#[test]
fn the_call_before_a_return_address_went_to_the_inner_frame() {
    let dump = Dump::open(&[evidence::committed().join("vmcores/sysrq-crash.kdump")]).unwrap();
    let kernel = Kernel::open(&dump, Sources::default()).unwrap();
    let tasks = kernel.tasks().items;
    let (mut direct, mut indirect, mut read, mut wrong) = (0, 0, 0, BTreeSet::new());
    for stack in kernel.stacks(&tasks).into_iter().flatten() {
        for pair in stack.frames.windows(2) {
            let (inner, outer) = (&pair[0], &pair[1]);
            let by_call = |frame: &kernel::stacks::Frame| frame.found == facts::Found::Orc && !frame.interrupted;
            let (Some(name), true) = (inner.function(), by_call(outer)) else { continue };
            let Some(call) = kernel.call_before(outer.pc) else {
                wrong.insert(format!("no call before {:?}", outer.function()));
                continue;
            };
            let target = call.target.and_then(|to| kernel.symbolize(to)).map(|to| to.name);
            match target {
                Some(target) if target == name => direct += 1,
                None => {
                    indirect += 1;
                    read += u32::from(call.slot.is_some());
                }
                Some(target) if target.starts_with("__x86_indirect_") => indirect += 1,
                Some(target) if jumps_to(&kernel, &target, name, 3) => direct += 1,
                Some(target) => drop(wrong.insert(format!("{target} for {name}"))),
            }
        }
    }
    assert!(direct > 100 && indirect > 3 && read > 0, "{direct} direct, {indirect} indirect, {read} read; {wrong:?}");
    // The first code of a CPU is jumped to.
    wrong.retain(|what| {
        !what.contains("secondary_startup_64") && !what.contains("start_kernel") && !what.contains("rest_init")
    });
    assert!(wrong.is_empty(), "{wrong:?}");
}
