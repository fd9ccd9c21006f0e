//! Help texts and the page on looking around.

use super::{NETDEV, text, vmcoroner};

/// Commands that take a dump first.
fn looking_commands() -> Vec<clap::Command> {
    use clap::CommandFactory;
    let all = vmcoroner::cli::Cli::command();
    let looks = |c: &&clap::Command| c.get_arguments().any(|a| a.get_id() == "dump");
    all.get_subcommands().filter(looks).cloned().collect()
}

#[test]
fn every_example_of_the_help_texts_works() {
    let commands = looking_commands();
    assert!(commands.len() >= 14);
    for command in commands {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let mut examples = 0;
        for line in help.lines().filter_map(|line| line.trim().strip_prefix("vmcoroner ")) {
            // A comment stands behind two blanks, a filter of another program behind a bar.
            let line = line.split("  ").next().unwrap_or_default().split(" | ").next().unwrap_or_default();
            let line = line.replace("--vmlinux vmlinux ", "").replace("--pack 1160.pack ", "");
            let args: Vec<String> = line
                .split_whitespace()
                .map(|word| word.trim_matches('\'').replace("vmcore", NETDEV))
                .filter(|word| !word.is_empty())
                .collect();
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            let output = vmcoroner(&args);
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{args:?}: {said}");
            assert!(!output.stdout.is_empty(), "{args:?} prints nothing");
            examples += 1;
        }
        assert!(examples > 0, "{} has no example", command.get_name());
    }
}

#[test]
fn the_page_on_looking_around_shows_what_the_commands_print() {
    let page = std::fs::read_to_string("docs/looking-around.md").expect("the page");
    let mut examples = 0;
    for block in page.split("```").skip(1).step_by(2) {
        let mut lines = block.lines().skip(1).peekable();
        while let Some(line) = lines.next() {
            let Some(command) = line.strip_prefix("$ vmcoroner ") else { continue };
            examples += 1;
            let args: Vec<&str> = command.split_whitespace().collect();
            let output = text(&args);
            let printed: Vec<&str> = output.lines().map(str::trim_end).collect();
            while let Some(shown) = lines.next_if(|line| !line.starts_with("$ ")) {
                let shown = shown.trim_end();
                let left_out = shown.trim() == "..." || shown.is_empty();
                assert!(left_out || printed.contains(&shown), "{command}: not printed: {shown}");
            }
        }
    }
    // Names of the JSON stand in front of the first example of each command.
    for part in page.split("\nJSON: ").skip(1) {
        let (names, rest) = part.split_once("\n").expect("an example behind");
        let command = rest.split("$ vmcoroner ").nth(1).and_then(|rest| rest.lines().next()).expect("a command");
        let args: Vec<&str> = command.split_whitespace().chain(["--format", "json"]).collect();
        let output = text(&args);
        for name in names.split('`').skip(1).step_by(2) {
            assert!(output.contains(&format!("\"{name}\":")), "{command}: no {name}");
        }
    }
    for command in looking_commands() {
        assert!(page.contains(&format!("\n## {}\n", command.get_name())), "no word on {}", command.get_name());
    }
    assert!(examples >= 20, "one a command, found {examples}");
}
