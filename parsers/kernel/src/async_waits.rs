//! Whom a task waits for until asynchronous functions have ended (`async_synchronize_full()`, as at the end of loading a
//! module), or until drivers have looked at their devices (`wait_for_device_probe()`).

use crate::locks::StackWords;
use crate::wait_queues::{QueueWait, WaitKind};
use crate::waits::Scene;
use crate::{Kernel, VirtAddr};

/// Functions whose data is a `struct device`.
const OF_DEVICES: [&str; 10] = [
    "__driver_attach_async_helper",
    "__device_attach_async_helper",
    "async_suspend",
    "async_suspend_late",
    "async_suspend_noirq",
    "async_resume",
    "async_resume_early",
    "async_resume_noirq",
    "async_dev_probe",
    "sd_probe_async",
];

/// An asynchronous function that a worker runs.
struct Running {
    cookie: u64,
    domain: VirtAddr,
    /// Whether those who wait for all of them wait for it.
    registered: bool,
    task: VirtAddr,
    /// What it is, for whom.
    what: String,
}

impl Kernel<'_> {
    /// Fills in who has to end what these wait for.
    pub(crate) fn async_waits(&self, scene: &Scene<'_>, waits: &mut [QueueWait]) {
        let mut running: Option<Vec<Running>> = None;
        for wait in waits.iter_mut().filter(|wait| wait.kind == WaitKind::Queue && wait.waker.is_none()) {
            if scene.goes_through(wait.task, "async_synchronize_cookie_domain") {
                let running = running.get_or_insert_with(|| self.running_async(scene));
                let Some((task, Some(stack))) = scene.task(wait.task) else { continue };
                let words = StackWords::read(self, task, stack);
                let named =
                    |domain: VirtAddr| words.as_ref().is_some_and(|words| words.places(domain.0).next().is_some());
                if let Some(first) = first_of(running, wait.task, named) {
                    (wait.waker, wait.must_end) = (Some(first.task), true);
                    wait.waker_by = Some(format!("runs {}", first.what).into());
                }
            } else if scene.goes_through(wait.task, "wait_for_device_probe") {
                // probe_count counts those that are in it.
                let probes = |task: &&crate::Task| {
                    task.address != wait.task && scene.goes_through(task.address, "driver_probe_device")
                };
                if let Some(task) = scene.tasks.iter().filter(|task| task.is_blocked()).find(probes) {
                    (wait.waker, wait.must_end) = (Some(task.address), true);
                    wait.waker_by = Some("probes a device".into());
                }
            }
        }
    }

    /// The asynchronous functions that run, by age. They are work since 083b804c4d3e "async: use workqueue for worker pool"
    /// (v2.6.36).
    fn running_async(&self, scene: &Scene<'_>) -> Vec<Running> {
        let Some(to_work) = self.types().offset("async_entry", "work") else { return Vec::new() };
        let workers = scene.pools(self).iter().flat_map(|pool| &pool.busy);
        let runs = workers.filter(|worker| worker.function.as_deref() == Some("async_run_entry_fn"));
        let mut running: Vec<Running> = runs
            .filter_map(|worker| {
                let entry = worker.work? - to_work;
                let pointer = |path: &str| self.pointer(entry, "async_entry", path);
                let domain = pointer("domain")?;
                let function = pointer("func").and_then(|at| self.symbolize(at)).map(|symbol| symbol.name);
                let of_device = function.as_deref().is_some_and(|name| OF_DEVICES.contains(&name));
                let device = pointer("data").filter(|_| of_device);
                let device = device.and_then(|at| self.pointer(at, "device", "kobj.name"));
                let device = device.and_then(|at| self.cstr(at, 64).ok()).filter(|name| !name.is_empty());
                let function = function.unwrap_or_else(|| "an asynchronous function".to_owned());
                Some(Running {
                    cookie: self.value(entry, "async_entry", "cookie")?,
                    domain,
                    registered: self.value(domain, "async_domain", "registered") == Some(1),
                    task: worker.task,
                    what: device.map_or(function.clone(), |device| format!("{function} for {device}")),
                })
            })
            .collect();
        running.sort_by_key(|one| one.cookie);
        running
    }
}

/// The oldest function that a task waits for: of the domain that it names, else of all that are registered. One that such a
/// function waits for is older than it.
fn first_of(running: &[Running], task: VirtAddr, named: impl Fn(VirtAddr) -> bool) -> Option<&Running> {
    let own = running.iter().find(|one| one.task == task).map_or(u64::MAX, |one| one.cookie);
    let domain = running.iter().map(|one| one.domain).find(|domain| named(*domain));
    let waited = |one: &&Running| match domain {
        Some(domain) => one.domain == domain,
        None => one.registered,
    };
    running.iter().filter(|one| one.task != task && one.cookie < own).find(waited)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic::{BASE, Memory};
    use crate::{Worker, WorkerPool};

    fn running(cookie: u64, domain: u64, registered: bool) -> Running {
        let (domain, task) = (VirtAddr(domain), VirtAddr(cookie * 0x100));
        Running { cookie, domain, registered, task, what: "probe".to_owned() }
    }

    #[test]
    fn the_oldest_function_of_the_domain_is_waited_for() {
        let all = [running(2, 0x20, false), running(3, 0x10, true), running(4, 0x10, true)];
        let first = |task: u64, domain: u64| first_of(&all, VirtAddr(task), |at| at.0 == domain).map(|one| one.cookie);
        assert_eq!(first(1, 0), Some(3), "a domain of its own is not waited for by all");
        assert_eq!(first(1, 0x20), Some(2));
        assert_eq!(first(0x400, 0), Some(3));
        assert_eq!(first(0x300, 0), None, "a function waits for none that began after it");
        assert!(first_of(&[], VirtAddr(1), |_| false).is_none());
    }

    #[test]
    fn an_entry_is_read_around_the_work_of_a_worker() {
        let memory = Memory::new();
        let (entry, domain) = (BASE + 0x11000, BASE + 0x12000);
        memory.put64(entry + 0x40, 7);
        memory.put64(entry + 0x48, domain);
        memory.put32(domain + 0x10, 1);
        let members = [
            ("async_entry", "work", 0x20, 0x20),
            ("async_entry", "cookie", 0x40, 8),
            ("async_entry", "domain", 0x48, 8),
            ("async_domain", "registered", 0x10, 4),
        ];
        let kernel = memory.kernel_with("", &members);
        let worker = |function: &str, work: u64| Worker {
            task: VirtAddr(0x500),
            function: Some(function.to_owned()),
            work: Some(VirtAddr(work)),
            ..Worker::default()
        };
        let busy = vec![worker("async_run_entry_fn", entry + 0x20), worker("wb_workfn", entry + 0x20)];
        let scene = Scene::of(&[], &[]).with_pools(vec![WorkerPool { busy, ..WorkerPool::default() }]);
        let running = kernel.running_async(&scene);
        let told: Vec<_> = running.iter().map(|r| (r.cookie, r.domain.0, r.registered, r.task.0)).collect();
        assert_eq!(told, [(7, domain, true, 0x500)]);
    }
}
