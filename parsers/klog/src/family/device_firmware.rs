//! Devices whose own processor stopped or does not answer its driver: network adapters, wireless cards, the modems and
//! signal processors of phones.

use facts::FieldType;

use super::words::{Word, anchors, driver_and_device, find, word};
use super::{Before, Family, From, Opened, field, kind};
use crate::cursor::{after, between, split};
use crate::event::{Event, Severity};
use crate::report::{Report, Step};
use crate::{Line, class};

/// Controllers of small buses, on which sensors and memory modules answer.
const BUSES: &[&str] = &["at91_i2c", "cdns-i2c", "i2c_designware", "i2c ", "i801_smbus"];

const WORDS: &[Word] = &[
    word(&["mlx5_core"], "health compromised", "stopped"),
    word(&["mlx5_core"], "Health issue observed", "stopped"),
    word(&["mlx5_core"], "health recovery flow aborted", "recovery-failed"),
    word(&["mlx5_core"], "No done completion", "command-timeout"),
    word(&["mlx5_core"], "Will cause a leak of a command resource", "command-timeout"),
    word(&["mlx4_core"], "Internal error detected", "stopped"),
    word(&["mlx4_core"], "timed out (go bit not cleared)", "command-timeout"),
    word(&["bnxt_en"], "Error (timeout: ", "command-timeout"),
    word(&["bnxt_en", "bnxt_re", "infiniband"], "timedout (", "command-timeout"),
    word(&["bnxt_en"], " reset event, data1: ", "restarted"),
    word(&["qede", "qed"], "MFW indication via attention", "stopped"),
    word(&["habanalabs"], "Device heartbeat failed", "stopped"),
    word(&["mlx5_core"], "atal error ", "stopped"),
    word(&["i40e", "ice", "iavf"], "irmware recovery mode", "stopped"),
    word(&["i40e", "iavf"], "Critical Error detected", "stopped"),
    word(&["ena"], "Keep alive watchdog timeout", "stopped"),
    word(&["be2net"], "Unrecoverable Error detected", "stopped"),
    word(&["cxgb4"], "Firmware reports adapter error", "stopped"),
    word(&["bnx2x"], "MC assert!", "stopped"),
    word(&["bnx2x"], "begin crash dump -----", "crash"),
    word(&["virtio"], " is not a head!", "bad-ring"),
    // drivers/net/wireless/intel/iwlwifi/pcie/tx.c
    word(&["iwlwifi"], " stuck for ", "queue-stuck"),
    word(&["iwlwifi"], "Microcode SW error detected", "crash"),
    word(&["iwlwifi"], "Microcode HW error", "crash"),
    word(&["rtw"], "failed to send h2c command", "no-answer"),
    word(&["rtw"], "firmware failed to leave lps", "no-answer"),
    word(&["iwlwifi"], ": time out after ", "command-timeout"),
    word(&["iwlwifi"], "Start IWL Error Log Dump", "crash"),
    word(&["iwlwifi"], "Failed to wake NIC for hcmd", "stopped"),
    word(&["ath10k"], "firmware crashed!", "crash"),
    // drivers/net/wireless/ath/ath10k/pci.c, core.c
    word(&["ath10k"], "failed to reset chip: -", "recovery-failed"),
    word(&["ath10k"], "ould not init hif: -", "recovery-failed"),
    word(&["ath11k", "ath12k"], "firmware crashed: ", "crash"),
    // drivers/net/wireless/broadcom/brcm80211/brcmfmac
    word(&["brcmfmac", "ieee80211"], "irmware has halted or crashed", "crash"),
    word(&["brcmfmac"], "failed backplane access over SDIO, halting", "stopped"),
    word(&["brcmfmac"], "failed to read data F", "no-answer"),
    word(&["brcmfmac"], "failed to write data F", "no-answer"),
    word(&["brcmfmac", "ieee80211"], "brcmf_sdio_bus_rxctl: resumed on timeout", "no-answer"),
    word(&["brcmfmac", "ieee80211"], "imeout on response for query command", "no-answer"),
    word(&["mt79", "mt76"], "chip reset failed", "stopped"),
    word(&["mt79", "mt76"], ") timeout", "command-timeout"),
    word(&["sof-audio", "snd_sof"], "DSP dump start", "crash"),
    word(&["remoteproc"], "crash detected in ", "crash"),
    word(&["qcom_q6v5"], "fatal error received", "crash"),
    word(&["qcom_q6v5"], "watchdog received", "crash"),
    word(&["pil", "subsys-pil"], "Fatal error on ", "crash"),
    word(&["pil", "subsys-pil", "modem", "adsp"], " subsystem failure reason", "crash"),
    word(&["remoteproc", "qcom-q6v5", "qcom_q6v5"], "start timed out", "no-answer"),
    word(&["remoteproc", "qcom-q6v5", "qcom_q6v5"], "port failed halt", "no-answer"),
    word(&["remoteproc"], "Boot failed: -", "no-answer"),
    word(&["mlx5_core"], "handling bad device here", "stopped"),
    word(&["mlx5_core"], "health recovery failed", "recovery-failed"),
    word(&["Bluetooth"], "tx timeout", "no-answer"),
    word(&["Bluetooth"], "wmt command timed out", "no-answer"),
    word(&["Bluetooth"], "ailed to set up firmware (-", "no-answer"),
    word(&["Bluetooth"], "download fw command failed (-", "no-answer"),
    word(&["Bluetooth"], " failed: -110", "no-answer"),
    word(&["Bluetooth"], "ardware error 0x", "crash"),
    word(&["ath10k"], "timeout, restarting hardware", "restarted"),
    word(&["ath10k"], "htt version request timed out", "no-answer"),
    word(&["ath10k", "ath11k"], "failed to wake target for", "no-answer"),
    word(&["iwlwifi"], "ailed to start RT ucode", "no-answer"),
    word(&["brcmfmac"], "indicates firmware halted", "crash"),
    word(&["mwifiex"], "_timeout_func: Timeout cmd", "no-answer"),
    word(&["ftgmac100"], "NCSI Channel 0 timed out", "no-answer"),
    word(BUSES, "controller timed out", "no-answer"),
    word(BUSES, "timeout waiting on completion", "no-answer"),
    word(BUSES, "SMBus Timeout!", "no-answer"),
    word(&["subsys-restart"], "Restart sequence requested for ", "restarted"),
];

const WIRELESS: &[&str] = &["iwlwifi", "ath1", "brcmfmac", "mt7", "mwifiex", "rtw", "Bluetooth"];

const NOT_RESTARTED: &str = "its driver could not start it anew: look at its slot, link and power";
const RESTARTED: &str = "its driver tries to start it anew, and connections over it end";

/// Devices are asked while they wake up, and asked again.
const BOOT_SECONDS: i64 = 60;

static ANCHORS: [&str; WORDS.len()] = anchors(WORDS);

pub(super) static FAMILY: Family = Family {
    name: "device_firmware",
    anchors: &ANCHORS,
    from: From::Kernel,
    open,
    body,
    finish,
    kind: kind(
        "log.device_firmware",
        "The processor of a device stopped, crashed or does not answer its driver",
        &[
            field("driver", FieldType::Text, "", "driver"),
            field("device", FieldType::Text, "", "bus address, network device or name of the processor"),
            field(
                "what",
                FieldType::Text,
                "",
                "stopped, crash, restarted, command-timeout, no-answer, recovery-failed, bad-ring, queue-stuck",
            ),
            field("command", FieldType::Text, "", "command that got no answer"),
            field("gone", FieldType::Bool, "", "its registers read as all ones: it left the bus"),
            field("syndrome", FieldType::Text, "", "what the firmware says of itself"),
            field("detail", FieldType::Text, "", "the text"),
        ],
    ),
};

fn open(line: &Line<'_>, _: Before<'_>) -> Option<Opened> {
    let text = line.text();
    let found = find(WORDS, text)?;
    let (mut driver, mut device) = driver_and_device(text);
    if driver == "ieee80211" {
        // Since 5.6 the message bears the name of the wireless interface: `ieee80211 phy0: brcmf_fw_crashed: ..`
        if !text.contains(": brcmf_") {
            return None;
        }
        driver = "brcmfmac";
    }
    if driver == "Bluetooth" {
        // `Bluetooth: hci0: text`
        device = split(text, ": ").and_then(|(_, rest)| split(rest, ": ")).map(|(device, _)| device);
    }
    // `cmd[22]: CREATE_DCT(0x710) No done completion`, `CREATE_DCT(0x710) timeout. Will cause a leak`
    let command = if driver == "mlx5_core" {
        split(text, "(0x").and_then(|(head, _)| head.rsplit(' ').next())
    } else {
        between(text, "Error sending ", ":")
    };
    // Drivers of wireless cards ask them again and start them again, many times a day on some: `finish` looks for more.
    let wireless = WIRELESS.iter().any(|name| driver.starts_with(name));
    let no_answer = found.what == "no-answer";
    // The bus to it is down for good.
    let dead = found.what == "stopped" && driver == "brcmfmac";
    let severity = if (wireless || no_answer) && !dead { Severity::Notice } else { Severity::Failure };
    let consequence = match found.what {
        // Cards that die do so when they are started.
        "crash" if wireless && driver != "iwlwifi" => Some(RESTARTED),
        "stopped" if driver == "brcmfmac" => Some("the bus to the chip is down, and the driver cannot start it anew"),
        "recovery-failed" if wireless => Some(NOT_RESTARTED),
        // The registers of its bus: whoever starts a chip reads them first.
        "no-answer" if driver == "brcmfmac" && text.contains(" data F") => {
            Some("the chip does not answer on its bus: its driver gives it up, or cannot use it")
        }
        "queue-stuck" => Some(
            "a frame was not sent for so long that the driver restarted the firmware; the error dump below, if any, is of its own making",
        ),
        _ if line.is_of_boot(BOOT_SECONDS) => None,
        "no-answer" => Some("the device does not answer its driver, which asks again, starts it anew or gives it up"),
        "restarted" if wireless => Some(RESTARTED),
        "command-timeout" if wireless && driver != "iwlwifi" => {
            Some("the card does not answer its driver, which asks again, starts it anew or gives it up")
        }
        _ => None,
    };
    let event = Event::new(FAMILY.name, class::FIRMWARE, severity)
        .titled(format!(
            "{driver}: {}",
            match found.what {
                "no-answer" => "no answer".to_owned(),
                "queue-stuck" => "transmit queue stuck".to_owned(),
                what => format!("firmware {}", what.replace("recovery-failed", "recovery failed")),
            }
        ))
        .with("driver", driver)
        .with_opt("device", device)
        .with("what", found.what)
        .with_opt("command", command.filter(|c| !c.is_empty()))
        .with_opt("consequence", consequence)
        .with("detail", text);
    if matches!(found.what, "stopped" | "crash") || driver == "iwlwifi" {
        return Opened::lines(event);
    }
    Opened::line(event)
}

/// What firmware prints about itself below: registers and assertions of the same device.
fn body(report: &mut Report, line: &Line<'_>) -> Step {
    let text = line.text();
    let (driver, device) = driver_and_device(text);
    let same = |name: &str, value: Option<&str>| {
        report.event.fields.get(name).and_then(|v| v.as_text()) == value && value.is_some()
    };
    if !same("driver", Some(driver)) || !same("device", device) {
        return Step::Pass;
    }
    let rest = split(text, ": ").map_or("", |(_, rest)| rest);
    // `poll_health:800:(pid 0): ` stands before it in newer kernels.
    let rest = rest.rsplit_once("): ").map_or(rest, |(_, rest)| rest);
    // A command that got no answer is the first sign of a crash, of which the dump follows.
    let timeout = report.event.fields.get("what").and_then(|w| w.as_text()) == Some("command-timeout");
    if timeout && (rest.starts_with("Microcode ") || rest.starts_with("Start IWL Error Log Dump")) {
        report.event.title = format!("{driver}: firmware crash");
        report.event.set("what", "crash");
    }
    // `0x00000084 | NMI_INTERRUPT_UNKNOWN`: the first that is not zero names the assertion.
    if driver == "iwlwifi"
        && let Some((_, name)) = split(rest, " | ").filter(|(number, _)| number.starts_with("0x"))
        && name.starts_with(|c: char| c.is_ascii_uppercase())
    {
        report.event.fields.entry("syndrome".into()).or_insert_with(|| name.trim().into());
    }
    if let Some(syndrome) = rest.strip_prefix("synd ") {
        report.event.set("syndrome", split(syndrome, ": ").map_or(syndrome, |(_, words)| words));
        return Step::Take;
    }
    const OWN: &[&str] = &[
        "assert_var",
        "assert_exit",
        "assert_callra",
        "fw_ver",
        "hw_id",
        "irisc",
        "ext_synd",
        "raw fw_ver",
        "time ",
        "rfr",
        "severity",
        "buf[",
        "0x",
        "Start IWL",
        "Loaded firmware",
        "Transport status",
        "Status: 0x",
        "Current CMD",
        "CSR ",
        "Fseq ",
        "IML/ROM",
        "crash",
        "firmware",
    ];
    if OWN.iter().any(|head| rest.starts_with(head)) {
        return Step::Take;
    }
    // ath10k prints the registers of its copy engines in decimal: `[07]: 0x00059000 4294967295 4294967295 ...`
    if rest.starts_with('[') && rest.split(' ').skip(2).take(2).filter(|word| *word == "4294967295").count() == 2 {
        report.event.set("gone", true);
        return Step::Take;
    }
    if rest.starts_with("failed to reset chip: -") || rest.starts_with("Could not init hif: -") {
        report.event.set("consequence", NOT_RESTARTED);
        report.event.severity = Severity::Failure;
        return Step::Take;
    }
    // Lines of other kinds may open reports of their own.
    if after(text, "Microcode SW error").is_some() { Step::Take } else { Step::Pass }
}

/// A crash of which the firmware leaves a dump ends all connections, and the stack above complains of it.
fn finish(report: &mut Report) {
    let event = &mut report.event;
    let crash = event.fields.get("what").and_then(|w| w.as_text()) == Some("crash");
    if crash && event.last_line > event.first_line {
        event.severity = Severity::Failure;
    }
    if event.fields.contains_key("gone") {
        event.severity = Severity::Failure;
        event.set(
            "consequence",
            "its registers read as all ones: it is gone from the bus, look at its slot, link and power",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{events, fields};

    #[test]
    fn what_the_firmware_prints_below_belongs_to_it() {
        let text = "[   52.261501] mlx5_core 0000:5e:00.0: device's health compromised - reached miss count\n\
             [   52.261502] mlx5_core 0000:5e:00.0: assert_var[0] 0x00000001\n\
             [   52.261503] mlx5_core 0000:5e:00.0: synd 0x7: irisc not responding\n\
             [   52.261504] mlx5_core 0000:5e:00.0: ext_synd 0x40d0\n";
        assert_eq!(events(text).len(), 1);
        assert_eq!(
            fields(text, &["what", "driver", "device", "syndrome", "class", "severity"]),
            ["stopped", "mlx5_core", "0000:5e:00.0", "irisc not responding", "firmware", "failure"]
        );
    }

    #[test]
    fn a_card_that_does_not_start_anew_is_told() {
        let text = "[   52.261501] ath10k_pci 0000:01:00.0: firmware crashed! (guid 14b3e18b)\n\
             [   52.261502] ath10k_pci 0000:01:00.0: Copy Engine register dump:\n\
             [   52.261503] ath10k_pci 0000:01:00.0: [06]: 0x00058c00 4294967295 4294967295 4294967295 4294967295\n\
             [   52.261504] ath10k_pci 0000:01:00.0: failed to reset chip: -5\n\
             [   52.261505] ath10k_pci 0000:01:00.0: Could not init hif: -5\n";
        assert_eq!(events(text).len(), 1);
        assert_eq!(fields(text, &["what", "severity", "gone"]), ["crash", "failure", "true"]);
        let alive = "[   52.261501] ath10k_pci 0000:01:00.0: firmware crashed! (guid 14b3e18b)\n\
             [   52.261503] ath10k_pci 0000:01:00.0: [06]: 0x00058c00  20   3  14  15\n";
        assert_eq!(fields(alive, &["consequence", "gone"]), [super::RESTARTED, ""]);
        let late = "[   59.261504] ath10k_pci 0000:01:00.0: failed to reset chip: -5\n";
        assert_eq!(fields(late, &["what", "consequence"]), ["recovery-failed", super::NOT_RESTARTED]);
    }

    #[test]
    fn a_stuck_queue_is_no_crash_of_the_firmware() {
        let text = "[35370.871896] iwlwifi 0000:01:00.0: Queue 3 is active on fifo 5 and stuck for 10000 ms. SW [106, 10] HW [106, 10] FH TRB=0x080503071\n\
             [35370.885112] iwlwifi 0000:01:00.0: Microcode SW error detected.  Restarting 0x2000000.\n\
             [35370.893367] iwlwifi 0000:01:00.0: Start IWL Error Log Dump:\n\
             [35370.914429] iwlwifi 0000:01:00.0: 0x00000084 | NMI_INTERRUPT_UNKNOWN\n";
        assert_eq!(events(text).len(), 1);
        assert_eq!(fields(text, &["what", "title"]), ["queue-stuck", "iwlwifi: transmit queue stuck"]);
        assert_eq!(
            fields("[35370.871896] iwlwifi 0000:01:00.0: Queue 11 stuck for 10000 ms.\n", &["what"]),
            ["queue-stuck"]
        );
    }

    #[test]
    fn a_wireless_chip_on_sdio_that_is_gone_is_told() {
        for (text, what) in [
            ("ieee80211 phy0: brcmf_fw_crashed: Firmware has halted or crashed", "crash"),
            ("brcmfmac: brcmf_sdio_dpc: failed backplane access over SDIO, halting operation", "stopped"),
            ("brcmfmac: brcmf_sdiod_regrw_helper: failed to read data F1@0x0b800, err: -110", "no-answer"),
            ("brcmfmac: brcmf_sdio_bus_rxctl: resumed on timeout", "no-answer"),
        ] {
            let text = format!("[ 9266.052038] {text}");
            assert_eq!(fields(&text, &["driver", "what"]), ["brcmfmac", what], "{text}");
            assert!(!fields(&text, &["consequence"])[0].is_empty(), "{text}");
        }
        let start = "[    3.803688] brcmfmac: brcmf_sdiod_regrw_helper: failed to read data F1@0x0b800, err: -110";
        assert!(fields(start, &["consequence"])[0].contains("bus"));
        for text in [
            "ieee80211 phy0: Hardware restart was requested",
            "brcmfmac: brcmf_c_preinit_dcmds: Firmware: BCM4345/6 wl0: Apr 15 2021 03:03:20",
            "ieee80211 phy0: brcmf_p2p_create_p2pdev: set p2p_disc error",
        ] {
            assert!(events(&format!("[   12.261501] {text}")).is_empty(), "{text}");
        }
    }

    #[test]
    fn each_wording_is_read() {
        for (text, what) in [
            (
                "mlx5_core 0000:61:00.0: wait_func:1132:(pid 141181): CREATE_DCT(0x710) timeout. Will cause a leak of a command resource",
                "command-timeout",
            ),
            ("iwlwifi 0000:04:00.0: Error sending STATISTICS_CMD: time out after 2000ms.", "command-timeout"),
            ("ath10k_pci 0000:03:00.0: firmware crashed! (guid 1234)", "crash"),
            (
                "qcom_q6v5_pas 26300000.remoteproc: fatal error received: SFR Init: wdog or kernel error suspected.",
                "crash",
            ),
            ("remoteproc remoteproc0: crash detected in adsp: type fatal error", "crash"),
            ("bnxt_en 0000:19:00.0: QPLIB: cmdq[0x41d]=0x3 timedout (20000)msec", "command-timeout"),
            ("virtio_net virtio0: output.0:id 12 is not a head!", "bad-ring"),
        ] {
            let text = format!("[   52.261501] {text}");
            assert_eq!(fields(&text, &["what", "class"]), [what, "firmware"], "{text}");
        }
        let severity = |text: &str| fields(&format!("[   52.261501] {text}"), &["severity"]);
        let crash = "iwlwifi 0000:02:00.0: Microcode SW error detected. Restarting 0x0.";
        assert_eq!(severity(crash), ["notice"]);
        let dump = format!("{crash}\n[   52.261502] iwlwifi 0000:02:00.0: 0x00000084 | NMI_INTERRUPT_UNKNOWN");
        assert_eq!(severity(&dump), ["failure"]);
        assert_eq!(severity("iwlwifi 0000:04:00.0: Error sending STATISTICS_CMD: time out after 2000ms."), ["notice"]);
        for (text, device) in [
            ("Bluetooth: hci0: command 0x2042 tx timeout", "hci0"),
            ("Bluetooth: hci0: Execution of wmt command timed out", "hci0"),
            ("ath10k_pci 0000:01:00.0: htt version request timed out", "0000:01:00.0"),
            ("qcom-q6v5-mss 4080000.remoteproc: start timed out", "4080000.remoteproc"),
            ("at91_i2c f801c000.i2c: controller timed out", "f801c000.i2c"),
        ] {
            let of = |seconds: u32| format!("[{seconds:5}.261501] {text}");
            let names = &["what", "device", "severity"];
            assert_eq!(fields(&of(5252), names), ["no-answer", device, "notice"], "{text}");
            assert!(!fields(&of(5252), &["consequence"])[0].is_empty(), "{text}");
            assert_eq!(fields(&of(12), &["consequence"]), [""], "{text}");
        }
        for text in [
            "mlx5_core 0000:01:00.0: firmware version: 14.32.1010",
            "iwlwifi 0000:00:14.3: loaded firmware version 46.3cfab8da.0 9000-pu-b0-jf-b0-46.ucode",
            "remoteproc remoteproc0: releasing 4080000.remoteproc",
            "subsys-pil-tz 15700000.qcom,lpass: adsp: Brought out of reset",
            "Bluetooth: hci0: RTL: fw version 0x829a7644",
            "i2c i2c-0: 4/4 memory slots populated (from DMI)",
        ] {
            assert!(events(&format!("[   52.261501] {text}")).is_empty(), "{text}");
        }
    }
}
