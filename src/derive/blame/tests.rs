use std::sync::Arc;

use facts::{Frame, Origin, Stack};

use super::*;

fn report(class: &str, function: &str, frames: &[&str]) -> Fact {
    let mut stack = Stack::printed("call trace");
    stack.frames = frames.iter().map(|f| Frame::printed(*f)).collect();
    let mut fact = Fact::new("log.kasan", Origin::lines("dmesg", 1, 9)).with("class", class).with("function", function);
    fact.stacks.push(Arc::new(stack));
    fact
}

fn names(fact: &Fact) -> Vec<String> {
    blame(fact).unwrap_or_default().candidates.into_iter().map(|c| c.function).collect()
}

#[test]
fn what_an_interrupt_came_upon_is_not_to_blame() {
    let frames = ["__run_timers", "run_timer_softirq", "irq_exit", "el1_irq", "__rtnl_unlock", "netdev_run_todo"];
    let named = names(&report("use-after-free", "__run_timers", &frames));
    assert!(named.contains(&"__run_timers".to_owned()), "{named:?}");
    assert!(!named.iter().any(|n| n.contains("rtnl") || n == "netdev_run_todo"), "{named:?}");
}

#[test]
fn the_function_that_a_message_calls_guilty_comes_first() {
    let warning = |message: &str| report("warning", "check_it", &["check_it", "suspend"]).with("message", message);
    for (message, want) in [
        ("Interrupts enabled after other_resume+0x0/0x40", "other_resume"),
        ("initcall demo_init+0x0/0x10 [demo] returned with preemption imbalance ", "demo_init"),
        ("irq 16 handler demo_irq+0x0/0x20 enabled interrupts", "demo_irq"),
        ("something else at f+0x0/0x20", "check_it"),
        ("workqueue: WQ_MEM_RECLAIM wq1:flush_it [test] is flushing !WQ_MEM_RECLAIM wq2:work_it [test]", "flush_it"),
    ] {
        assert_eq!(names(&warning(message)).first().map(String::as_str), Some(want), "{message}");
    }
}

#[test]
fn a_work_function_is_named_where_all_else_helps() {
    let oops = report("null-deref", "idr_remove", &["process_one_work", "worker_thread"]);
    let named = names(&oops.with("workqueue", "ksmbd-io handle_it [ksmbd]"));
    assert_eq!(named.first().map(String::as_str), Some("handle_it"), "{named:?}");
    let own = report("null-deref", "xfs_iget", &["process_one_work"]).with("workqueue", "w handle_it [xfs]");
    assert_eq!(names(&own).first().map(String::as_str), Some("xfs_iget"));
}

#[test]
fn who_takes_the_lock_on_which_a_cpu_spins_comes_first() {
    let way = ["native_queued_spin_lock_slowpath", "_raw_spin_lock", "list_lru_add", "dput", "__fput"];
    let named = names(&report("soft-lockup", way[0], &way));
    assert_eq!(named.first().map(String::as_str), Some("list_lru_add"), "{named:?}");
}

#[test]
fn what_calls_what_is_said_as_the_trace_has_it() {
    let way = ["crash_it", "kmem_cache_alloc", "alloc_it", "open_it"];
    let told = blame(&report("null-deref", way[0], &way)).unwrap_or_default().candidates;
    let reasons: Vec<&str> = told.iter().map(|c| c.reason.as_str()).collect();
    assert!(reasons.contains(&"calls kmem_cache_alloc, which leads to crash_it"), "{reasons:?}");
}

#[test]
fn helpers_of_drivers_are_passed_over_but_stay_among_the_first() {
    for (helper, caller) in [
        ("pm_runtime_get_if_active", "ufshcd_rtc_work"),
        ("dma_direct_unmap_sg", "qla2xxx_qpair_sp_free_dma"),
        ("_parse_integer_fixup_radix", "xenbus_transaction_start"),
        ("set_freepointer", "qla2x00_els_dcmd_sp_free"),
        ("insert_work", "md_check_recovery"),
        ("folio_unlock", "netfs_write_begin"),
    ] {
        let named = names(&report("null-deref", helper, &[helper, caller, "worker_thread"]));
        assert_eq!(named.first().map(String::as_str), Some(caller), "{named:?}");
        assert!(named.contains(&helper.to_owned()), "{named:?}");
    }
}

#[test]
fn those_who_act_for_a_caller_are_not_to_blame_when_it_is_known() {
    for way in [
        ["regmap_mmio_read32le", "_regmap_read", "regmap_read", "find_chip", "platform_probe"],
        ["page_address", "sg_copy_it", "find_chip", "demo_ioctl", "vfs_ioctl"],
        ["i2c_smbus_xfer", "i2c_transfer", "i2c_smbus_read_byte_data", "find_chip", "i2c_device_probe"],
        ["__spi_sync", "spi_sync", "find_chip", "spi_probe", "really_probe"],
        ["memset_erms", "memremap", "find_chip", "platform_probe", "really_probe"],
    ] {
        let named = names(&report("paging-fault", way[0], &way));
        let first = named.first().map(String::as_str);
        assert!(matches!(first, Some("find_chip" | "sg_copy_it")), "{way:?} {named:?}");
    }
    let way = ["mem_cgroup_reparent_charges", "mem_cgroup_css_offline", "cgroup_destroy_locked"];
    assert_eq!(names(&report("soft-lockup", way[0], &way))[0], way[0], "it loops until all charges are moved");
    let way = ["mem_cgroup_try_charge", "wp_page_copy", "handle_mm_fault"];
    assert_eq!(names(&report("soft-lockup", way[0], &way))[0], "wp_page_copy");
}

#[test]
fn the_way_out_of_the_first_process_tells_nothing() {
    let panic = |frames: &[&str]| {
        let mut fact = report("init-killed", "", frames);
        fact.kind = "log.panic".into();
        fact.values.remove("function");
        fact.with("reason", "Attempted to kill init! exitcode=0x0000000b")
    };
    let out = ["panic", "do_exit", "do_group_exit", "get_signal", "arch_do_signal_or_restart"];
    assert!(names(&panic(&out)).is_empty());
    let died = ["panic", "do_exit", "make_task_dead", "rewind_stack_and_make_dead"];
    assert!(names(&panic(&died)).is_empty());
    let fault = ["panic", "do_exit", "oops_end", "page_fault", "find_chip", "do_one_initcall"];
    assert_eq!(names(&panic(&fault)).first().map(String::as_str), Some("find_chip"));
}

#[test]
fn a_cpu_of_which_only_the_scheduler_is_shown_has_no_function_to_look_at() {
    let mut fact = report("rcu-stall", "", &["__schedule"]);
    fact.values.remove("function");
    assert!(names(&fact).is_empty());
    let mut fact = report("rcu-stall", "", &["__schedule", "find_chip"]);
    fact.values.remove("function");
    assert_eq!(names(&fact)[0], "find_chip");
}

#[test]
fn a_bus_error_is_blamed_on_what_it_interrupted() {
    let way =
        ["do_serror", "el1h_64_error_handler", "el1h_64_error", "regmap_mmio_read32le", "regmap_read", "find_chip"];
    let fact = report("trap", "regmap_mmio_read32le", &way).with("title", "SError Interrupt in regmap_mmio_read32le");
    assert_eq!(names(&fact).first().map(String::as_str), Some("find_chip"));
}

#[test]
fn a_wrong_function_pointer_is_blamed_on_its_caller() {
    let way = ["panic", "find_check_fn", "__cfi_slowpath_diag", "call_probe", "really_probe"];
    let mut fact = report("kernel-panic", "", &way);
    fact.kind = "log.panic".into();
    fact.values.remove("function");
    assert_eq!(names(&fact.with("reason", "CFI failure (target: my_probe+0x0/0x4)"))[0], "call_probe");
}

#[test]
fn a_bus_error_that_panics_without_a_report_is_blamed_on_what_it_interrupted() {
    let way = ["panic", "arm64_serror_panic", "do_serror", "el1_error", "pci_generic_config_read", "find_chip"];
    let mut fact = report("kernel-panic", "", &way);
    fact.kind = "log.panic".into();
    fact.values.remove("function");
    assert_eq!(names(&fact.with("reason", "Asynchronous SError Interrupt"))[0], "find_chip");
}

#[test]
fn entries_of_interrupts_of_all_architectures_end_the_way() {
    for entry in ["do_ext_irq", "handle_riscv_irq", "el1h_64_irq_handler", "plat_irq_dispatch"] {
        let way = ["__run_timers", "run_timer_softirq", "__do_softirq", "irq_exit", entry, "do_irq", "find_chip"];
        let named = names(&report("warning", way[0], &way));
        assert!(!named.iter().any(|name| name == entry || name == "do_irq" || name == "find_chip"), "{named:?}");
    }
    // A trace whose head is lost.
    let mut fact = report("corrupted", "", &["__irq_svc", "_raw_spin_unlock_irq", "find_chip"]);
    fact.values.remove("function");
    assert_eq!(names(&fact)[0], "find_chip");
}

#[test]
fn a_damaged_page_is_no_fault_of_who_allocates_next() {
    let mut fact = report("bad-page", "", &["dump_stack", "bad_page", "get_page_from_freelist"]);
    fact.values.remove("function");
    assert!(names(&fact).is_empty());
    let mut frees = report("bad-page", "", &["dump_stack", "bad_page", "free_pcppages_bulk", "free_chip"]);
    frees.values.remove("function");
    assert_eq!(names(&frees)[0], "free_chip");
}

#[test]
fn below_a_helper_a_frame_that_is_not_sure_is_better_than_none() {
    let mut fact = report("use-after-free", "__mutex_lock", &["kasan_report", "__mutex_lock"]);
    let mut stack = Stack::clone(&fact.stacks[0]);
    for name in ["__pfx___mutex_lock", "find_chip", "vfs_read"] {
        stack.frames.push(Frame { reliable: false, ..Frame::printed(name) });
    }
    fact.stacks = vec![Arc::new(stack)];
    let told = blame(&fact).unwrap_or_default().candidates;
    assert_eq!(told[0].function, "find_chip");
    assert!(told[0].reason.contains("not sure"), "{}", told[0].reason);
    assert!(told[1].reason.contains("does not show for whom"), "{}", told[1].reason);
}

#[test]
fn the_last_branch_tells_who_went_to_where_no_code_is() {
    let mut fact = report("invalid-opcode", "", &["net_rx_action", "__do_softirq"]);
    fact.values.remove("function");
    let mut last = Stack::printed("last branch");
    last.frames.push(Frame::printed("__napi_poll"));
    fact.stacks.push(Arc::new(last));
    assert_eq!(names(&fact)[0], "__napi_poll");
}

#[test]
fn the_release_of_a_count_that_was_given_back_too_often_is_named() {
    let message = "percpu ref (obj_cgroup_release) <= 0 (-1) after switching to atomic";
    let fact = report("warning", "percpu_ref_switch_to_atomic_rcu", &["rcu_do_batch", "rcu_core"]);
    assert_eq!(names(&fact.with("message", message))[0], "obj_cgroup_release");
}

#[test]
fn who_jumped_on_and_left_no_frame_comes_before_its_caller_unless_it_only_helps() {
    let report = report("refcount", "refcount_warn_saturate", &["wr", "vfs_write", "ksys_write"]);
    let named = |via: &str, caller: &str| {
        let tail = Fact::new("mem.tail_call", Origin::lines("vmcore", 1, 1))
            .with("function", "refcount_warn_saturate")
            .with("via", via)
            .with("via_module", "sessd")
            .with("caller", caller);
        let mut blame = blame(&report).unwrap_or_default();
        jumped_on(&tail, &mut blame);
        blame.candidates.first().map(|first| (first.function.clone(), first.module.clone()))
    };
    assert_eq!(named("sess_put", "wr"), Some(("sess_put".to_owned(), Some("sessd".to_owned()))));
    for (via, caller) in [("dump_stack", "wr"), ("sess_put", "ksys_write")] {
        assert_eq!(named(via, caller).map(|(function, _)| function), Some("wr".to_owned()), "{via} {caller}");
    }
}
