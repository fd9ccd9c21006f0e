//! The same crash in every carrier that cuts, encodes or mixes lines: what is read is what was printed. All samples are
//! composed after the formats that the tools print.

use klog::{Event, Reading};

/// What a 5.10 kernel prints.
const OOPS: &str = "\
[  467.167062] BUG: kernel NULL pointer dereference, address: 0000000000000020
[  467.167070] #PF: supervisor read access in kernel mode
[  467.167100] Oops: 0000 [#1] SMP PTI
[  467.167110] CPU: 1 PID: 77 Comm: runc Not tainted 5.10.0-18-amd64 #1 Debian 5.10.140-1
[  467.167120] RIP: 0010:ip6mr_sk_done+0x60/0xf0
[  467.167125] Code: 48 8b 45 00 48 85 c0 74 0d 48 8b 40 10 48 85 c0 74 04 48 8b 40 20 <48> 8b 00 0f 1f 44 00 00
[  467.167130] RSP: 0018:ffffc90000003fa0 EFLAGS: 00010097
[  467.167140] Call Trace:
[  467.167150]  rawv6_close+0x1e/0x30
[  467.167160]  inet_release+0x2e/0x60
[  467.167170]  __sock_release+0x3a/0xc0
[  467.167180] Modules linked in: veth bridge stp llc
[  467.167190] ---[ end trace 3b2f0c0a5d5e6f70 ]---
";

fn read(text: &str) -> Reading {
    klog::read("test", text.as_bytes())
}

fn events(text: &str) -> Vec<Event> {
    read(text).boots.into_iter().flat_map(|b| b.events).collect()
}

/// The oops must be there once and whole.
fn check(what: &str, text: &[u8]) {
    let found: Vec<Event> = klog::read("test", text).boots.into_iter().flat_map(|b| b.events).collect();
    assert_eq!(found.len(), 1, "{what}: {:?}", found.iter().map(|e| &e.title).collect::<Vec<_>>());
    let event = &found[0];
    assert_eq!((event.family, event.class, event.address), ("oops", "null-deref", Some(0x20)), "{what}");
    assert_eq!(event.place.as_ref().map(|p| p.function.as_str()), Some("ip6mr_sk_done"), "{what}");
    let frames: Vec<&str> = event.stacks.first().map(|s| s.functions().collect()).unwrap_or_default();
    assert_eq!(frames, ["rawv6_close", "inet_release", "__sock_release"], "{what}");
    assert_eq!((event.cpu, event.pid, event.comm.as_deref()), (Some(1), Some(77), Some("runc")), "{what}");
    let code = OOPS.lines().find_map(|l| l.split_once("Code: ")).map(|(_, code)| code);
    assert_eq!(event.code.as_deref(), code, "{what}");
    assert_eq!(event.corrupted, None, "{what}");
}

fn each_line(wrap: impl Fn(&str) -> String) -> String {
    OOPS.lines().map(|line| wrap(line) + "\n").collect()
}

/// The text behind the stamp of a line.
fn body(line: &str) -> &str {
    line.split_once("] ").map_or(line, |(_, body)| body)
}

/// Encodes as mail programs do: `=` and blanks at line ends as escapes, lines of at most 76 columns.
fn quoted_printable(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let mut column = 0;
        for (at, c) in line.char_indices() {
            let piece = match c {
                '=' => "=3D".to_owned(),
                ' ' if at + 1 == line.len() => "=20".to_owned(),
                c => c.to_string(),
            };
            if column + piece.len() > 75 {
                out.push_str("=\r\n");
                column = 0;
            }
            column += piece.len();
            out.push_str(&piece);
        }
        out.push_str("\r\n");
    }
    out
}

#[test]
fn quoted_printable_lines_are_decoded_and_joined() {
    check("plain", OOPS.as_bytes());
    check("quoted-printable", quoted_printable(OOPS).as_bytes());
    check("quoted-printable of a quote", quoted_printable(&each_line(|l| format!("> > {l}"))).as_bytes());
}

#[test]
fn mail_quotes_and_broken_lines_are_mended() {
    check("nested quotes", each_line(|l| format!(">>> > {l}")).as_bytes());
    check("ticket quotes", each_line(|l| format!("| {l}")).as_bytes());
    let broken = |width: usize, mark: &str, at_blank: bool| -> String {
        OOPS.lines()
            .flat_map(|line| {
                let mut pieces = Vec::new();
                let mut rest = line;
                while rest.len() > width {
                    let cut = if at_blank { rest[..=width].rfind(' ').unwrap_or(width) } else { width };
                    pieces.push(format!("{mark}{}\n", &rest[..cut]));
                    rest = if at_blank { rest[cut..].trim_start() } else { &rest[cut..] };
                }
                pieces.push(format!("{mark}{rest}\n"));
                pieces
            })
            .collect()
    };
    check("broken at blanks", broken(72, "", true).as_bytes());
    check("broken and quoted", broken(76, "> ", true).as_bytes());
    check("a terminal of 80 columns", broken(80, "", false).as_bytes());
}

#[test]
fn html_and_escapes_are_undone() {
    check("html", each_line(|l| l.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")).as_bytes());
    check("colours", each_line(|l| format!("\u{1b}[0;31m{l}\u{1b}[0m")).as_bytes());
    check("rsyslog", each_line(|l| format!("Jul  5 19:33:34 host kernel: #033[31m{}", body(l))).as_bytes());
    check("blanks of a page", each_line(|l| l.replace(' ', "&nbsp;")).as_bytes());
    check(
        "lost newlines",
        each_line(|l| format!("Jul 05 19:33:34 host kernel: {}", body(l))).replace('\n', " ").as_bytes(),
    );
    check("NUL bytes", each_line(|l| format!("\0\0{l}\0")).as_bytes());
    check("carriage returns", each_line(|l| format!("{l}\r\r")).as_bytes());
}

#[test]
fn wide_text_of_both_orders_is_read() {
    let units: Vec<u16> = OOPS.replace('\n', "\r\n").encode_utf16().collect();
    let little: Vec<u8> = units.iter().flat_map(|u| u.to_le_bytes()).collect();
    let big: Vec<u8> = units.iter().flat_map(|u| u.to_be_bytes()).collect();
    check("UTF-16LE", &[&[0xff, 0xfe][..], &little].concat());
    check("UTF-16BE", &[&[0xfe, 0xff][..], &big].concat());
    check("UTF-16LE without mark", &little);
    check("UTF-8 with mark", &[&[0xef, 0xbb, 0xbf][..], OOPS.as_bytes()].concat());
}

#[test]
fn netconsole_fragments_are_joined() {
    let record = |seq: usize, line: &str| format!("4,{seq},467167062,-,caller=T77;{}", body(line));
    check("whole records", OOPS.lines().enumerate().map(|(n, l)| record(n, l) + "\n").collect::<String>().as_bytes());
    // Chunks of 40 bytes; of each record the last one comes first.
    let fragments = |end: &str| -> String {
        OOPS.lines()
            .enumerate()
            .flat_map(|(seq, line)| {
                let text = body(line).as_bytes();
                let total = text.len() + 1;
                let mut packets: Vec<String> = text
                    .chunks(40)
                    .enumerate()
                    .map(|(n, chunk)| {
                        let chunk = String::from_utf8_lossy(chunk);
                        format!("6.1.0-x,4,{seq},467167062,-,caller=T77,ncfrag={}/{total};{chunk}{end}", n * 40)
                    })
                    .collect();
                packets.reverse();
                if end.is_empty() {
                    packets.push("\n".to_owned());
                }
                packets
            })
            .collect()
    };
    check("a line each", fragments("\n").as_bytes());
    check("glued", fragments("").as_bytes());
    let lost = read("4,7,9,-,ncfrag=0/99;BUG: unable to handle\n4,9,9,-;x\n");
    assert!(lost.gaps.iter().any(|g| g.why.contains("fragment")), "{:?}", lost.gaps);
}

#[test]
fn dev_kmsg_records_are_read_with_their_dictionaries() {
    let text: String = OOPS
        .lines()
        .enumerate()
        .map(|(n, l)| format!("4,{},467167062,-;{}\n SUBSYSTEM=pci\n DEVICE=+pci:0000:00:1f.2\n", 400 + n, body(l)))
        .collect();
    check("/dev/kmsg", text.as_bytes());
    // A record of two lines, and lost records before it.
    let text = "4,10,1,-;x\n4,20,2,-;WARNING: CPU: 0 PID: 1 at a.c:1 f+0x1/0x2\\x0aCall Trace:\n4,21,3,-; g+0x1/0x2\n";
    let reading = read(text);
    assert_eq!(reading.boots[0].events[0].stacks[0].functions().next(), Some("g"));
    let text = text.replace("4,10,1,-;x", "4,10,1,-;INFO: task a:1 blocked for more than 120 seconds.");
    assert!(read(&text).gaps.iter().any(|g| g.why.contains("9 records")), "{:?}", read(&text).gaps);
}

#[test]
fn pieces_of_container_logs_are_joined() {
    let stamp = "2023-11-14T22:13:20.002000000Z";
    let text: String = OOPS
        .lines()
        .map(|l| {
            let (a, b) = l.split_at(l.len() / 2);
            format!("{stamp} stdout P {a}\n{stamp} stderr F other output\n{stamp} stdout F {b}\n")
        })
        .collect();
    check("CRI", text.as_bytes());
    check("docker", each_line(|l| format!("{{\"log\":\"{l}\\n\",\"stream\":\"stdout\"}}")).as_bytes());
}

#[test]
fn dmesg_json_is_read_pretty_and_in_one_line() {
    let object = |l: &str, nl: &str| {
        let (stamp, body) = l[1..].split_once("] ").unwrap();
        let stamp = stamp.trim();
        format!("{{{nl}\"pri\": 4,{nl}\"time\":   {stamp},{nl}\"msg\": \"{body}\"{nl}}}")
    };
    let pretty: Vec<String> = OOPS.lines().map(|l| object(l, "\n         ")).collect();
    let pretty = format!("{{\n   \"dmesg\": [\n      {}\n   ]\n}}\n", pretty.join(",\n"));
    check("dmesg -J", pretty.as_bytes());
    assert_eq!(events(&pretty)[0].time.unwrap().since_boot_ns, Some(467_167_062_000));
    let compact: Vec<String> = OOPS.lines().map(|l| object(l, "")).collect();
    let compact = format!("{{\"dmesg\":[{}]}}\n", compact.join(","));
    check("jq -c", compact.as_bytes());
    // The console of a cloud machine: the whole text in one string.
    let output = format!("{{\"InstanceId\":\"i-1\",\"Output\":\"{}\"}}\n", OOPS.replace('\n', "\\r\\n"));
    check("console output", output.as_bytes());
}

#[test]
fn journal_entries_are_read_in_every_form() {
    let verbose = |l: &str| {
        format!(
            "Tue 2023-11-14 22:13:20.001000 UTC [s=0a;i=2;b=0b;m=f4628;t=60a24181e43e8;x=1]\n    _TRANSPORT=kernel\n    \
             MESSAGE={}\n    PRIORITY=1\n    _HOSTNAME=node1\n    _SOURCE_MONOTONIC_TIMESTAMP=467167062\n",
            body(l)
        )
    };
    check("verbose", OOPS.lines().map(verbose).collect::<String>().as_bytes());
    let export = |l: &str| {
        format!(
            "__CURSOR=s=0a;i=2\n__REALTIME_TIMESTAMP=1700000000001000\nMESSAGE={}\n_TRANSPORT=kernel\n_HOSTNAME=node1\n\n",
            body(l)
        )
    };
    check("export", OOPS.lines().map(export).collect::<String>().as_bytes());
    let json = |l: &str| {
        format!(
            "{{\"_TRANSPORT\":\"kernel\",\"MESSAGE\":\"{}\",\"_HOSTNAME\":\"node1\",\"__REALTIME_TIMESTAMP\":\"1700000000001000\"}}\n",
            body(l)
        )
    };
    let json: String = OOPS.lines().map(json).collect();
    check("json", json.as_bytes());
    assert_eq!(events(&json)[0].time.unwrap().wall_ns, Some(1_700_000_000_001_000_000));
    check("json-seq", json.lines().map(|l| format!("\u{1e}{l}\n")).collect::<String>().as_bytes());
    check("json-sse", json.lines().map(|l| format!("data: {l}\n\n")).collect::<String>().as_bytes());
    // A program that quotes a crash is no kernel.
    let program = json.replace("\"kernel\"", "\"syslog\"");
    assert!(events(&program).is_empty());
}

#[test]
fn a_head_behind_a_line_that_was_not_ended_is_read() {
    for text in [
        "[  OK  ] Started x (57s / no limit)CPU 2 Unable to handle kernel paging request at virtual address 07406000, epc == 8024b0c4, ra == 8024b0b0\nOops[#1]:\n",
        "eraseblock 28BUG: unable to handle kernel NULL pointer dereference at 0000000000000018\n",
    ] {
        assert_eq!(events(text).len(), 1, "{text}");
    }
    let prose = "I saw a BUG: unable to handle kernel NULL pointer dereference at 0000000000000018 today\n";
    assert!(events(prose).is_empty());
}

#[test]
fn a_part_of_a_syslog_that_a_mail_program_broke_is_joined() {
    let text = "Apr 30 23:49:09 node1 kernel: [10496.092408] WARNING: CPU: 13 PID:\n\
        3786 at drivers/md/raid5.c:4611 break_stripe_batch_list+0x86/0x1fb\n\
        Apr 30 23:49:09 node1 kernel: [10496.092450] CPU: 13 PID: 3786 Comm:\n\
        md125_raid5 Tainted: G           O    4.14.91-esos.prod #1\n\
        Apr 30 23:49:09 node1 kernel: [10496.092452] Hardware name:\n\
        CELESTICA-CSS Athena/Athena-MB, BIOS COL00708 11/26/2018\n\
        Apr 30 23:49:09 node1 kernel: [10496.092460] RIP:\n\
        0010:break_stripe_batch_list+0x86/0x1fb\n\
        Apr 30 23:49:09 node1 kernel: [10496.092470] Call Trace:\n\
        Apr 30 23:49:09 node1 kernel: [10496.092475]  handle_stripe+0x1c/0x20\n";
    // The rest of the log was not broken.
    let rest = "Apr 30 23:49:10 node1 kernel: [10497.092475] a line that is far longer than a mail program leaves it\n"
        .repeat(20);
    for text in [text.to_owned(), format!("{text}{rest}")] {
        let found = events(&text);
        let place = |e: &Event| e.place.as_ref().map(|p| p.function.clone());
        assert_eq!(found.len(), 1, "{found:#?}");
        assert_eq!((place(&found[0]).as_deref(), found[0].pid), (Some("break_stripe_batch_list"), Some(3786)));
        assert_eq!(found[0].hardware.as_deref(), Some("CELESTICA-CSS Athena/Athena-MB, BIOS COL00708 11/26/2018"));
    }
    for head in [
        "INFO: task\nkcompactd0:171 blocked for more than 122 seconds.",
        "rcu: INFO: rcu_sched self-detected\nstall on CPU",
    ] {
        assert_eq!(events(&format!("2025-12-03T15:57:25.438905+00:00 h1 kernel: {head}\n")).len(), 1, "{head}");
    }
}

#[test]
fn prefixes_of_real_time_kernels_and_boards_are_read() {
    for prefix in [
        "[  467.167062] 003: ",
        "[  467.167062] c4   3226 ",
        "Aug 29 04:11:47 loom warning: [  467.167062] ",
        "<4>Oct  3 10:11:12 web01 kernel: ",
        "[2023-10-03 10:11:12] web01 kernel: ",
        "2023/10/03 10:11:12 web01 kernel: ",
        "03.10.2023 10:11:12 web01 kernel: ",
        "2023-10-03T10:11:12.123Z Oct  3 10:11:12 ip-10-0-0-1 kernel: ",
    ] {
        let text = each_line(|line| format!("{prefix}{}", body(line)));
        assert_eq!(events(&text).len(), 1, "{prefix}");
    }
}

#[test]
fn broadcasts_and_lost_line_starts_are_read() {
    let wall = |l: &str| format!("\rMessage from syslogd@host at Mar 22 21:40:42 ...\n kernel:{l}\n");
    check("broadcast", OOPS.lines().map(wall).collect::<String>().as_bytes());
    // The log itself, and below it what everybody was told of it.
    let journal: String = OOPS.lines().map(|l| format!("Mar 22 21:40:42 host kernel: {}\n", body(l))).collect();
    let told = |l: &&str| l.contains("BUG: ") || l.contains("Oops: ") || l.contains("Code: ");
    let bare: String = OOPS.lines().filter(told).map(|l| wall(body(l))).collect();
    check("journal and broadcast", format!("{journal}{bare}").as_bytes());
    let stamped: String = OOPS.lines().filter(told).map(wall).collect();
    check("log and broadcast", format!("{OOPS}{stamped}").as_bytes());
    check("no blank", each_line(|l| format!("Mar 22 21:40:42 host kernel:{l}")).as_bytes());
    for columns in [1, 5, 9] {
        check("lost columns", each_line(|l| l[columns..].to_owned()).as_bytes());
    }
    check("lost tag", each_line(|l| format!("ernel: {l}")).as_bytes());
    let frames_bare =
        each_line(|l| if l.contains("+0x") && !l.contains("RIP") { body(l).trim().to_owned() } else { l.to_owned() });
    check("frames without prefix", frames_bare.as_bytes());
}

#[test]
fn consoles_of_makers_and_collectors_are_read() {
    // Phones: the CPU, the task and its id, in each maker's way.
    let behind_stamp =
        |wrap: &str| OOPS.lines().map(|l| l.replacen("] ", &format!("] {wrap}"), 1) + "\n").collect::<String>();
    check("Samsung", behind_stamp(" [2:           runc:   77] ").as_bytes());
    check("Samsung, old", behind_stamp(" I[2:           runc:   77] ").as_bytes());
    check("MediaTek", behind_stamp("(1)[77:runc]").as_bytes());
    check(
        "Huawei",
        OOPS.lines().map(|l| l.replacen("] ", "s][pid:77,cpu1,runc]", 1) + "\n").collect::<String>().as_bytes(),
    );
    check("no host", behind_stamp("kernel: ").as_bytes());
    // Terminals and filters that print the time.
    check("ts", each_line(|l| format!("Jul 05 19:33:34 {l}")).as_bytes());
    check("minicom", each_line(|l| format!("[2020-07-05 19:33:34.123] {l}")).as_bytes());
    check("numbers of syslog", each_line(|l| format!("2020-07-05 19:33:34.123 0 4 host kernel:{l}")).as_bytes());
    check("logread, quoted", each_line(|l| format!("> Sun Jul  5 19:33:34 2020 kern.warn kernel: {l}")).as_bytes());
    check("pdsh", each_line(|l| format!("node7: {l}")).as_bytes());
    check("Talos", each_line(|l| format!("kern: err: [2020-07-05T19:33:34.123456789Z]: {}", body(l))).as_bytes());
    check("months in Russian", each_line(|l| format!("июл 05 19:33:34 host kernel: {}", body(l))).as_bytes());
    // Collectors.
    for key in ["line", "message", "original", "_raw", "@message"] {
        let json = each_line(|l| format!("{{\"{key}\":\"{}\"}}", l.replace('"', "\\\"")));
        check(key, json.as_bytes());
    }
    check("more digits than a nanosecond has", OOPS.replace("467.167", "467.16712345").as_bytes());
}

#[test]
fn a_console_that_prints_twice_reports_once() {
    let twice = each_line(|l| format!("{l}\n{l}"));
    let found = events(&twice);
    assert_eq!(found.iter().filter(|e| e.family == "oops").count(), 1);
    check("two consoles", twice.as_bytes());
}

#[test]
fn carriers_change_within_a_text() {
    let mut text = each_line(|l| format!("Jul  5 19:33:34 a kernel: {l}"));
    text += "-- \nHello,\nwe saw this again:\n\n";
    text += &quoted_printable(&OOPS.replace("467.", "867."));
    text += &each_line(|l| format!("> {}", l.replace("467.", "967.")));
    let found = events(&text);
    assert_eq!(found.iter().map(|e| e.family).collect::<Vec<_>>(), ["oops"; 3]);
    assert!(found.iter().all(|e| e.stacks[0].frames.len() == 3 && e.corrupted.is_none()));
}

#[test]
fn a_level_broken_long_record_does_not_swallow_other_text() {
    // Long lines around: nobody broke these, and what follows is other output.
    let text = format!("{OOPS}[  468.0] x {}\nexecuting program 0:\nopen(\"/dev/x\")\n", "y".repeat(200));
    check("long lines", text.as_bytes());
}

#[test]
fn level_words_behind_the_stamp_are_taken_off() {
    // XenServer and XCP-ng: the level stands as a word before the text.
    let with = |pick: &dyn Fn(&str) -> &'static str, stamp: bool| {
        let line = |l: &str| {
            let (stamps, text) = l.split_once("] ").unwrap_or(("", l));
            let word = pick(text);
            if stamp { format!("{stamps}] {word}: {text}\n") } else { format!("  {word}: {text}\n") }
        };
        OOPS.lines().map(line).collect::<String>()
    };
    let short = |text: &str| if text.starts_with("BUG: ") { "ALERT" } else { "WARN" };
    let long = |_: &str| "WARNING";
    check("level words", with(&short, true).as_bytes());
    check("level words without stamps", with(&short, false).as_bytes());
    check("the long word", with(&long, true).as_bytes());
    let syslog: String = with(&short, true).lines().map(|l| format!("Aug  9 00:01:58 xs kernel: {l}\n")).collect();
    check("level words in syslog", syslog.as_bytes());
    let warning =
        "[    1.5] WARNING: CPU: 1 PID: 7 at fs/x.c:1 f+0x1/0x2\n[    1.6] Call Trace:\n[    1.7]  g+0x1/0x2\n";
    let warning = warning.replace(".5]", ".500000]").replace(".6]", ".600000]").replace(".7]", ".700000]");
    assert_eq!(events(&warning).iter().map(|e| e.class).collect::<Vec<_>>(), ["warning"]);
}

#[test]
fn a_protection_fault_broken_before_its_address_is_whole() {
    for head in ["", "Oops: "] {
        let text = format!(
            "{head}general protection fault, probably for non-canonical address\n0xe277a58fde16f291: 0000 [#1] SMP NOPTI\n\
             CPU: 1 PID: 77 Comm: runc Not tainted 5.10.0-18-amd64 #1\nRIP: 0010:f+0x60/0xf0\nCall Trace:\n g+0x1e/0x30\n"
        );
        let found = events(&text);
        assert_eq!(found.len(), 1, "{text}");
        assert_eq!((found[0].class, found[0].address), ("gpf", Some(0xe277_a58f_de16_f291)), "{text}");
        assert_eq!(found[0].fields.get("count").and_then(|v| v.as_int()), Some(1), "{text}");
        assert_eq!(found[0].title, "general protection fault in f", "{text}");
    }
    // A sentence about one is none.
    assert!(events("we saw a general protection fault, probably for non-canonical address\n0x10 in f\n").is_empty());
}

/// Carriers that are listed nowhere are learnt from the lines around; those that are listed are known anywhere.
#[test]
fn a_prefix_is_learnt_from_the_lines_that_begin_alike() {
    for (what, prefix) in [
        ("time alone", "07:37:18 kernel: "),
        ("time and host", "07:37:18 node1 kernel: "),
        ("time in brackets", "[07:37:18] "),
        ("bare time", "07:37:18 "),
        ("bare time with a fraction", "07:37:18.123  "),
        ("metalog", "Feb 14 01:11:04 [kernel] "),
        ("relative, with a comma", "[  +0,000002] "),
        ("two dates in brackets", "[2025-04-12 18:40:15.554] [Sat Apr 12 18:40:12 2025] "),
        ("date in brackets", "[2025-04-12 18:40:15] "),
        ("ISO in brackets", "[2023-04-03T16:02:11.123Z] "),
        ("RFC 5424 without priority", "2025-04-12T18:40:15+00:00 node1 kernel - - - "),
        ("RFC 5424 with priority", "<3>1 2020-12-02T21:55:55.868746+01:00 node1 kernel - - - "),
        ("a pid of nought", "May 29 01:38:43 node1 kernel[0]: "),
        ("the day first", "12 Jun 18:40:15 node1 kernel: "),
        ("a text logger", "2025-04-12 18:40:15,123 INFO console: "),
        ("a logger in brackets", "[2025-04-12 18:40:15,123][console/INFO] "),
        ("seconds and a colon", "   12.345678: "),
        ("seconds alone", "   12.345678 "),
        ("a terminal program", "ttyUSB0 18:40:15.123 -> "),
    ] {
        check(what, each_line(|line| format!("{prefix}{}", body(line))).as_bytes());
        // The stamps of the kernel behind it.
        check(what, each_line(|line| format!("{prefix}{line}")).as_bytes());
    }
}

#[test]
fn the_console_of_zvm_is_put_together() {
    let text = "\
00: [  424.578896] WARNING: CPU: 0 PID: 1533 at arch/s390/kvm/priv.c:632 handle_
00: pqap+0x2b6/0x468 [kvm]                                                      
00: [  424.579026] CPU: 0 PID: 1533 Comm: qemu-kvm Not tainted 5.7.0-rc3-next-20
00: 200501 #2                                                                   
00: [  424.579101] Krnl PSW : 0704d00180000000 000003ff80440dc2 (handle_pqap+0x2
00: ba/0x468 [kvm])                                                             
00: [  424.579600] Call Trace:                                                  
00: [  424.579610]  [<000003ff80440dc2>] handle_pqap+0x2ba/0x468 [kvm]          
00: [  424.579620] ([<000003ff80440d66>] handle_pqap+0x25e/0x468 [kvm])         
00: [  424.579630]  [<000003ff8043df48>] kvm_handle_sie_intercept+0xd10/0x4090 [
00: kvm]                                                                        
00: [  424.579640]  [<000003ff8042c2a0>] kvm_arch_vcpu_ioctl_run+0x12a8/0x2648 [
00: kvm]                                                                        
";
    let found = events(text);
    assert_eq!(found.len(), 1, "{found:#?}");
    let event = &found[0];
    assert_eq!(
        (event.title.as_str(), event.release.as_deref()),
        ("WARNING in handle_pqap", Some("5.7.0-rc3-next-20200501"))
    );
    let frames: Vec<&str> = event.stacks[0].functions().collect();
    assert_eq!(frames, ["handle_pqap", "kvm_handle_sie_intercept", "kvm_arch_vcpu_ioctl_run"]);
    assert!(event.stacks[0].frames.iter().all(|f| f.module.as_deref() == Some("kvm")));
}

/// Heads that a mail program broke where too little stands around to see that it does.
#[test]
fn a_broken_head_is_put_together() {
    for (text, class, title) in [
        (
            "[  957.912490] pci 0000:30:00.0: AER: PCIe Bus Error:\nseverity=Uncorrected (Non-Fatal), type=Transaction Layer, (Requester\nID)\n",
            "hardware-pcie",
            "PCIe: non-fatal error",
        ),
        (
            "apr 02 08:25:51 box kernel: Internal error: synchronous external\nabort: 0000000096000210 [#1] SMP\n\
             apr 02 08:25:51 box kernel: pc : foo_enable+0x10/0x20\napr 02 08:25:51 box kernel: Call trace:\n\
             apr 02 08:25:51 box kernel:  foo_enable+0x10/0x20\napr 02 08:25:51 box kernel:  foo_init+0x10/0x20\n",
            "trap",
            "Internal error: synchronous external abort in foo_enable",
        ),
        (
            "[  831.668264] UBSAN: array-index-out-of-bounds in\n/build/linux-hwe-6.5/drivers/net/ethernet/intel/ice/ice_virtchnl.c:2020:45\n\
             [  831.683417] index 2 is out of range for type 'virtchnl_ether_addr [1]'\n",
            "out-of-bounds",
            "UBSAN: array-index-out-of-bounds",
        ),
        (
            "3,1058,658446423,-;BUG: KASAN: stack-out-of-bounds in\ntlb_gather_mmu+0x418/0x420\n3,1059,658446479,-;Write of size 8 at addr ffff8806f8defba8 by task\nrunner-1/2949\n",
            "out-of-bounds",
            "KASAN: stack-out-of-bounds Write in tlb_gather_mmu",
        ),
        (
            "[5653610.087014] INFO: task kworker/0:2:2562230 blocked for more than\n604 seconds.\n[5653610.092927]       Not tainted 5.4.0-1091-azure #96\n\
             [5653610.093000] Call Trace:\n[5653610.093001]  __schedule+0x1/0x2\n[5653610.093002]  foo_wait+0x1/0x2\n",
            "hung-task",
            "INFO: task hung in foo_wait",
        ),
        (
            "CPU 0 Unable to handle kernel paging request at virtual address\n00000000, epc == 80244654, ra == 80244654\nOops[#1]:\n\
             epc   : 80244654 foo_name+0x4/0x18\nCall Trace:\n[<80244654>] foo_name+0x4/0x18\n[<80244700>] foo_check+0x4/0x18\n",
            "null-deref",
            "BUG: unable to handle kernel NULL pointer dereference in foo_name",
        ),
        (
            "[  100.000001] BUG: unable to handle kernel NULL pointer\ndereference at 0000000000000078\n[  100.000004] Oops: 0000 [#1] SMP\n\
             [  100.000005] CPU: 3 PID: 1835 Comm: foo Tainted: G\n     OE   4.14.154 #1\n[  100.000006] RIP: 0010:foo_wakeup+0xd9/0x1d0\n\
             [  100.000007] Call Trace:\n[  100.000008]  foo_up+0xc5/0x1c0\n",
            "null-deref",
            "BUG: unable to handle kernel NULL pointer dereference in foo_wakeup",
        ),
        (
            "[  100.000001] blk_update_request: I/O error, dev\nnvme0n1, sector 153333328 op 0x0:(READ) flags 0x80700 phys_seg 1 prio\nclass 0\n",
            "io-error",
            "block: I/O error",
        ),
    ] {
        let found = events(text);
        assert_eq!(found.iter().map(|e| (e.class, e.title.as_str())).collect::<Vec<_>>(), [(class, title)], "{text}");
    }
}

#[test]
fn a_name_cut_by_the_terminal_is_taken_from_the_registers_or_the_trace() {
    let trace = "[ 1009.532838] [<c0cb3878>] (dump_backtrace) from [<c0cb3ac0>] (show_stack+0x20/0x24)\n\
                 [ 1009.564839] [<c0cb787c>] (dump_stack) from [<c0127350>] (__warn+0xfc/0x114)\n\
                 [ 1009.571822] [<c0127254>] (__warn) from [<c0cb4118>] (warn_slowpath_fmt+0x74/0x80)\n\
                 [ 1009.584988] [<c0cb40a8>] (warn_slowpath_fmt) from [<c0a22cf8>] (__skb_flow_dissect+0x1fc/0x1560)\n\
                 [ 1009.600502] [<c0a22afc>] (__skb_flow_dissect) from [<c0a24258>] (__skb_get_hash+0x84/0x1a8)\n";
    let head = "[ 1009.478485] WARNING: CPU: 1 PID: 288 at net/core/flow_dissector.c:984 ";
    let found = events(&format!("{head}__skb_4\n[ 1009.530384] Backtrace:\n{trace}"));
    assert_eq!(found[0].title, "WARNING in __skb_flow_dissect");
    let registers = "[ 1009.500000] RIP: 0010:__skb_flow_dissect+0x1fc/0x1560\n[ 1009.500001] Call Trace:\n[ 1009.500002]  __skb_get_hash+0x84/0x1a8\n";
    assert_eq!(events(&format!("{head}__skb_4\n{registers}"))[0].title, "WARNING in __skb_flow_dissect");
    let module = " [<ffffffff88034867>] :jbd:journal_commit_transaction+0x46e/0x1133\n";
    let found = events(&format!(
        "[   10.000000] WARNING: CPU: 1 PID: 2 at fs/x.c:1 f+0x1/0x2\n[   10.000001] Call Trace:\n{module}"
    ));
    let frame = &found[0].stacks[0].frames[0];
    assert_eq!((frame.function.as_deref(), frame.module.as_deref()), (Some("journal_commit_transaction"), Some("jbd")));
}

/// What a mail program cut off the CPU line is read from the line below it.
#[test]
fn a_release_on_a_line_of_its_own_is_read() {
    let found = events(
        "[  100.000001] BUG: unable to handle kernel NULL pointer dereference at 0000000000000078\n\
         [  100.000005] CPU: 3 PID: 1835 Comm: foo Tainted: G\n     OE   4.14.154-esos.prod #1\n\
         [  100.000006] RIP: 0010:foo_wakeup+0xd9/0x1d0\n[  100.000007] Call Trace:\n[  100.000008]  foo_up+0xc5/0x1c0\n",
    );
    assert_eq!((found[0].release.as_deref(), found[0].taint.as_deref()), (Some("4.14.154-esos.prod"), Some("GOE")));
}

/// The old unwinder of ARM names caller and callee on each line: the last caller stands on no line of its own.
#[test]
fn the_outermost_caller_of_an_arm_trace_is_a_frame() {
    for lines in [
        "[ 6141.921801] [<c0a22afc>] (__schedule) from [<c0a24258>] (schedule+0x84/0x1a8)\n\
         [ 6141.921802] [<c0a241d4>] (schedule) from [<bf1adf24>] (fuse_writepages+0x24/0x108 [fuse])\n",
        "[ 6141.921801]  __schedule from schedule+0x84/0x1a8\n[ 6141.921802]  schedule from fuse_writepages+0x24/0x108 [fuse]\n",
    ] {
        let head = "[ 6141.921740] WARNING: CPU: 1 PID: 2 at fs/x.c:1 f+0x1/0x2\n[ 6141.921750] Call trace:\n";
        let found = events(&format!("{head}{lines}"));
        let stack = &found[0].stacks[0];
        assert_eq!(stack.functions().collect::<Vec<_>>(), ["__schedule", "schedule", "fuse_writepages"], "{lines}");
        assert_eq!(stack.frames[2].module.as_deref(), Some("fuse"));
    }
}

#[test]
fn a_broadcast_before_its_line_is_not_another_report() {
    let mut text = String::new();
    for line in OOPS.lines() {
        if line.contains("BUG: ") || line.contains("Oops: ") {
            text += &format!("\nMessage from syslogd@node1 at Mar 17 13:56:02 ...\n kernel:{line}\n");
            text += &format!("\nMessage from syslogd@node1 at Mar 17 13:56:02 ...\n kernel:{}\n", body(line));
        }
        text += &format!("Mar 17 13:56:01 node1 kernel: {line}\n");
    }
    check("broadcast before", text.as_bytes());
}

#[test]
fn a_table_and_a_node_s_events_hold_the_whole_report() {
    let quoted = |line: &str| body(line).replace('"', "\"\"");
    let stamp = "2023-10-03T10:11:12.000Z";
    for (what, text) in [
        ("csv", format!("timestamp,host,message\n{}", each_line(|l| format!("{stamp},node1,\"{}\"", quoted(l))))),
        (
            "tagged",
            format!("timestamp;host;Meldung\n{}", each_line(|l| format!("{stamp};x;node1 kernel: {}", body(l)))),
        ),
        ("tsv", each_line(|l| format!("77\t{stamp}\tnode1\tKern\tWarning\tkernel\t{}", body(l)))),
        ("multiline", {
            let all = OOPS.lines().map(quoted).collect::<Vec<_>>().join("\n");
            format!("_time,_raw,host\n{stamp},\"{all}\",node1\n")
        }),
        ("array", each_line(|l| format!("        \"{l}\","))),
        ("counted", each_line(|l| format!("99 <4>1 {stamp} node1 kernel - - - {}", body(l)))),
        ("address", each_line(|l| format!("Oct  3 10:11:12 fe80::1 kernel: {}", body(l)))),
        ("colon", each_line(|l| format!("Oct  3 10:11:12 node1 kernel: : {}", body(l)))),
        ("blanks", each_line(|l| format!("2023-10-03 10:11:12    {l}"))),
        ("watcher", each_line(|l| format!("I1003 10:11:12.000000       1 kernel_watcher.go:123] {}", body(l)))),
        ("events", each_line(|l| format!("5m          Warning   KernelOops   node/node1   {}", body(l)))),
    ] {
        check(what, text.as_bytes());
    }
}
