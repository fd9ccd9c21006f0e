use facts::{Address, Origin};

use super::*;

#[test]
fn code_without_a_name_is_told_by_its_place_and_its_access() {
    let oops = |pc: u64| {
        let mut registers = std::collections::BTreeMap::new();
        registers.insert("RAX".to_owned(), Address(0x8030_0000_0000_0000).into());
        Fact::new("log.oops", Origin::lines("dmesg", 1, 7))
            .with("class", "gpf")
            .with("title", "general protection fault")
            .with("address", Address(0x8030_0000_0000_0000))
            .with("pc", Address(pc))
            .with("code", "48 8b 00 <f6> 80 84 00 00 00 01 0f 84 aa 00 00 00 0f b7 43 32")
            .with("registers", Value::Record(registers))
    };
    let title = |fact: &Fact| fault(fact, None).and_then(|fault| fault.title).unwrap_or_default();
    let told = title(&oops(0xffff_ffff_c06b_4f00));
    assert!(told.contains("0xffffffffc06b4f00") && told.contains("RAX = 0x8030000000000000"), "{told}");
    assert!(title(&oops(0xffff_ffff_8123_4567)).is_empty());
    assert!(title(&oops(0xffff_ffff_c06b_4f00).with("function", "f")).is_empty());
}

#[test]
fn what_stands_at_a_bad_jump_is_not_decoded() {
    let registers: BTreeMap<String, Value> = [("RAX".to_owned(), Value::Address(Address(1)))].into();
    let oops = |address: u64, pc: u64| {
        Fact::new("log.oops", Origin::lines("dmesg", 1, 2))
            .with("class", "paging-fault")
            .with("header", "BUG: unable to handle page fault for address: x")
            .with("address", Address(address))
            .with("pc", Address(pc))
            .with("registers", Value::Record(registers.clone()))
            .with("code", "ad de <00> 00 00 00")
    };
    let jumped = fault(&oops(0xffff_e82a_d972_5880, 0xffff_e82a_d972_5880), None).expect("a jump");
    assert_eq!((jumped.meaning, jumped.instruction), ("bad-jump", None));
    assert!(jumped.text.contains("stale or overwritten"), "{}", jumped.text);
    assert!(jump(&oops(0, 0)).is_some_and(|j| j.what.ends_with("NULL")));
    assert!(jump(&oops(0x20, 0xffff_ffff_c000_0000)).is_none());
    assert!(jump(&oops(0x20, 0xffff_ffff_c000_0000).with("error_code", 0x10)).is_some());
    assert!(jump(&oops(0, 0).with("function", "f")).is_none());
    let protection = |pc: u64| {
        let fact = Fact::new("log.oops", Origin::lines("dmesg", 1, 9)).with("class", "gpf").with("pc", Address(pc));
        jump(&fact).map(|j| j.address)
    };
    let header = "Unable to handle kernel execute from non-executable memory at virtual address x";
    let data = jump(&oops(0xffff_10c6_8317_2988, 0xffff_10c6_8317_2988).with("header", header));
    assert!(data.is_some_and(|j| j.what.contains("is data")));
    // A protection fault prints no address: the counter itself is none.
    assert_eq!(protection(0x4141_4141_4141_4141), Some(0x4141_4141_4141_4141));
    assert_eq!(protection(0xffff_ffff_c000_1234), None);
}

#[test]
fn addresses_of_programs_on_mips_are_told_as_such() {
    let oops = |quote: &str| {
        let oops = Fact::new("log.oops", Origin::lines("dmesg", 1, 2))
            .with("class", "paging-fault")
            .with("severity", "report")
            .with("address", Address(0x5_5800_5801))
            .quoting(quote);
        fault(&oops, None).map(|fault| fault.meaning)
    };
    let mips =
        "CPU 3 Unable to handle kernel paging request at virtual address 0000000558005801, epc == ffffffff80232838";
    assert_eq!(oops(mips), Some("user-address"));
    assert_ne!(
        oops("Unable to handle kernel pointer dereference in virtual kernel address space"),
        Some("user-address")
    );
}

#[test]
fn an_error_number_below_null_is_no_null_pointer() {
    let oops = |rdi: u64, address: u64| {
        let registers: BTreeMap<String, Value> =
            [("RAX", 1u64), ("RDI", rdi)].map(|(name, value)| (name.to_owned(), Value::Address(Address(value)))).into();
        let oops = Fact::new("log.oops", Origin::lines("dmesg", 1, 2))
            .with("class", "null-deref")
            .with("function", "dev_write")
            .with("address", Address(address))
            .with("registers", Value::Record(registers))
            // mov rax,[rdi+20h]
            .with("code", "90 90 <48> 8b 47 20 48 85 c0 74 05");
        fault(&oops, None).expect("a fault address is there")
    };
    let error = oops(-19i64 as u64, 0xd);
    assert_eq!((error.meaning, error.offset), ("error-pointer", Some(0x20)));
    assert!(error.text.contains("RDI = 0xffffffffffffffed; -19 (ENODEV)"), "{}", error.text);
    assert_eq!(error.title.as_deref(), Some("error pointer -19 (ENODEV) used as a pointer in dev_write"));
    // What contains a member that is NULL gives such numbers too: not said for sure.
    assert_eq!(oops(-16i64 as u64, 0x10).title, None);
    assert_eq!(oops(0, 0x20).meaning, "null-pointer");
    // The register is not what was accessed through.
    assert_eq!(oops(-19i64 as u64, 0x20).meaning, "null-pointer");
}

#[test]
fn what_an_instruction_could_not_do_is_told() {
    let oops = |class: &str, rdi: u64, code: &str| {
        let registers: BTreeMap<String, Value> = [("RAX", 0x10u64), ("RDI", rdi)]
            .map(|(name, value)| (name.to_owned(), Value::Address(Address(value))))
            .into();
        let oops = Fact::new("log.oops", Origin::lines("dmesg", 1, 2)).with("class", class).with("function", "f");
        let fault = fault(&oops.with("registers", Value::Record(registers)).with("code", code), None);
        fault.map(|fault| (fault.meaning, fault.text)).unwrap_or(("", String::new()))
    };
    // div edi; div byte [mem]; ud2; vpxord zmm0,zmm0,zmm0; no instruction of 64-bit code
    let zero = oops("divide-error", 0, "31 d2 <f7> f7 c3");
    assert!(zero.0 == "division-by-zero" && zero.1.contains("RDI is 0"), "{}", zero.1);
    // EDI alone divides.
    assert_eq!(oops("divide-error", 0xffff_ffff_0000_0000, "31 d2 <f7> f7 c3").0, "division-by-zero");
    assert_eq!(oops("divide-error", 0xffff_ffff_0000_0000, "31 d2 <48> f7 f7 c3").0, "quotient-overflow");
    assert_eq!(oops("divide-error", 0, "<f6> 37 c3").0, "division");
    assert_eq!(oops("invalid-opcode", 0, "<0f> 0b c3").0, "");
    let missing = oops("invalid-opcode", 0, "<62> f1 7d 48 ef c0 c3");
    assert!(missing.0 == "missing-instruction" && missing.1.contains("AVX512F"), "{}", missing.1);
    assert_eq!(oops("invalid-opcode", 0, &format!("<06>{}", " 48".repeat(15))).0, "no-instruction");
    assert_eq!(oops("invalid-opcode", 0, "<06> 48").0, "");
}

#[test]
fn a_present_page_of_user_space_is_one_that_the_kernel_must_not_touch() {
    let oops = |code: i64| {
        let registers: BTreeMap<String, Value> = [("RAX".to_owned(), Value::Address(Address(1)))].into();
        let oops = Fact::new("log.oops", Origin::lines("dmesg", 1, 2))
            .with("class", "paging-fault")
            .with("function", "f")
            .with("header", "BUG: unable to handle page fault for address: x")
            .with("address", Address(0x7ffe_9688_0fb8))
            .with("registers", Value::Record(registers))
            .with("error_code", code);
        fault(&oops, None).map(|fault| fault.text).unwrap_or_default()
    };
    assert!(oops(1).contains("SMAP"), "{}", oops(1));
    assert!(oops(3).contains("read-only"), "{}", oops(3));
    assert!(!oops(0).contains("SMAP"), "{}", oops(0));
}

#[test]
fn what_the_error_code_says_of_the_page_tables_is_told() {
    let oops = |header: &str, address: u64, code: i64| {
        let registers: BTreeMap<String, Value> = [("RAX".to_owned(), Value::Address(Address(1)))].into();
        let oops = Fact::new("log.oops", Origin::lines("dmesg", 1, 2))
            .with("class", "paging-fault")
            .with("function", "f")
            .with("header", header)
            .with("address", Address(address))
            .with("registers", Value::Record(registers))
            .with("error_code", code);
        fault(&oops, None).expect("a fault address is there")
    };
    let x86 =
        |code| oops("BUG: unable to handle page fault for address: ffff888058a67000", 0xffff_8880_58a6_7000, code);
    assert_eq!(x86(0xb).title.as_deref(), Some("a page table is damaged, met in f"));
    assert_eq!(x86(3).meaning, "read-only");
    assert_eq!(x86(2).meaning, "kernel-address");
    assert_eq!(x86(1).meaning, "kernel-address");
    let s390 = "Unable to handle kernel pointer dereference in virtual kernel address space";
    assert_eq!(oops(s390, 0x133_b000, 4).meaning, "read-only");
    assert_ne!(oops(s390, 0x133_b000, 0x11).meaning, "read-only");
    let gpf = "general protection fault, probably for non-canonical address 0xffff3993e44e4ab8: 0000 [#1]";
    assert_eq!(oops(gpf, 0xffff_3993_e44e_4ab8, 0).meaning, "non-canonical");
    let abort = "Unhandled fault: synchronous external abort (0x96000210) at 0xffffff80096c61b0";
    assert_eq!(oops(abort, 0xffff_ff80_096c_61b0, 0x9600_0210).meaning, "external-abort");
    let arm = "Unhandled fault: external abort on non-linefetch (0x1028) at 0xfa0b402c";
    assert_eq!(oops(arm, 0xfa0b_402c, 0x1028).meaning, "external-abort");
    let xmon = "cpu 0x2c: Vector: 300 (Data Access) at [c000001ff74d36d0]";
    assert_eq!(oops(xmon, 0x1f_fdbc_0004, 0).meaning, "user-address");
    let word = "BUG: Unable to handle kernel data access on read at 0x7c0802a6";
    assert_eq!(oops(word, 0x7c08_02a6, 0).meaning, "user-address");
    let power = "BUG: Unable to handle kernel data access on read at 0xc0080001c7cd0f20";
    assert_eq!(oops(power, 0xc008_0001_c7cd_0f20, 0).meaning, "kernel-address");
    let mips =
        "CPU 3 Unable to handle kernel paging request at virtual address 9800000001234568, epc == ffffffff80232838";
    assert_eq!(oops(mips, 0x9800_0000_0123_4568, 0).meaning, "kernel-address");
    let loongarch =
        "CPU 1 Unable to handle kernel paging request at virtual address 9000000121234568, era == 9000000000223d8";
    assert_eq!(oops(loongarch, 0x9000_0001_2123_4568, 0).meaning, "kernel-address");
    let arm64 = "Unable to handle kernel write to read-only memory at virtual address ffff800008a00000";
    assert_eq!(oops(arm64, 0xffff_8000_08a0_0000, 0x9600_004e).meaning, "permission");
    assert!(oops("CPU 2 Unable to handle kernel paging request", 0xaffa, 0).text.contains("no pointer"));
}

#[test]
fn a_run_of_one_byte_is_no_code() {
    for (code, fill) in [
        ("5b c3 <00> 00 00 00 00 00 00 00 00", Some(0)),
        ("5b c3 <6b> 6b 6b 6b 6b 6b 6b 6b", Some(0x6b)),
        ("<00> 00 00 00 00 00 00", None),
        ("<00> 00 00 00 00 00 00 48 89", None),
        ("00 00 00 00 00 00 00 00 <48> 8b 47 20", None),
        ("<90> 90 90 90 90 90 90 90 90", None),
        ("aa0003e1 f9400000 (00000000)", Some(0)),
        ("00000000 00000000 (f9401000)", None),
        ("", None),
    ] {
        assert_eq!(overwritten(code), fill, "{code}");
    }
}

#[test]
fn the_offset_of_the_access_counts_where_the_register_holds_null() {
    let registers: BTreeMap<String, Value> =
        [("RAX", 1u64), ("R12", 0)].map(|(name, value)| (name.to_owned(), Value::Address(Address(value)))).into();
    let oops = Fact::new("log.oops", Origin::lines("dmesg", 1, 2))
        .with("class", "null-deref")
        .with("severity", "report")
        .with("address", Address(0x20))
        .with("registers", Value::Record(registers))
        .with("code", "90 90 90 90 <49> 39 5c 24 20 0f 84 10 00 00 00 90");
    let fault = fault(&oops, None).expect("a fault address is there");
    assert_eq!((fault.meaning, fault.offset), ("null-pointer", Some(0x20)));
    assert!(fault.text.contains("R12 = 0x0; NULL plus offset 0x20"), "{}", fault.text);
}
