//! What may be on the disk after a power cut: everything that was flushed, and any legal part of what was not.
//!
//! The calls of a run are replayed in a model of a file system that keeps as little as POSIX lets it: a name lasts when its
//! directory was flushed, bytes when their file was, and what was not flushed may be there or not, in any order, but that
//! changes of one name keep theirs, and a rename happens as one (after Pillai et al., "All File Systems Are Not Created
//! Equal", OSDI 2014).

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Component, Path},
};

use sw_vault_dir::{Batch, VaultDir};

use crate::{
    disk::{Tree, tree},
    judge::judge_between,
    report::Report,
    scenario::{Scenario, Vault},
    strace::Call,
    sweep::{Sweep, full, in_parallel},
};

/// States at most of one moment; more are drawn from evenly.
const MOST_OF_A_MOMENT: usize = 4096;

/// Takes every state of every moment of a run, has the next run begin in it, and judges what comes of it.
pub(crate) fn every_state(scenario: &'static Scenario) {
    let sweep = Sweep::begin(scenario);
    let traced = sweep.vault();
    let before = tree(traced.data_dir.path());
    let calls = sweep.calls_of(&traced);
    let log = Log::replay(&before, traced.data_dir.path(), &calls);
    assert_eq!(
        log.state(&log.steps.iter().map(|_| Some(Part::All)).collect::<Vec<_>>()),
        tree(traced.data_dir.path()),
        "the model is not what happened"
    );
    let (mut considered, mut states) = (0, BTreeSet::new());
    for moment in 0..=log.steps.len() {
        let of_moment = log.states(moment);
        considered += of_moment.len();
        states.extend(of_moment);
    }
    let different = states.len();
    assert!(different > 5, "{different}");
    let every = if full() { 1 } else { different.div_ceil(200) };
    let states: Vec<(usize, Tree)> = states.into_iter().step_by(every).enumerate().collect();
    let rerun_every = states.len().div_ceil(if full() { 200 } else { 5 });
    let name = traced.root.file_name().unwrap();
    let report = in_parallel(&states, |(number, state)| {
        let mut report = Report::default();
        report.count_state();
        let vault = sweep.vault_in(state);
        // The next run's first steps, without the seconds that it takes to encrypt keys.
        let address = name.to_str().unwrap().parse().unwrap();
        let lock = VaultDir::new(vault.data_dir.path(), address).lock().unwrap();
        Batch::finish_interrupted(&lock).unwrap();
        drop(Batch::begin(&lock).unwrap());
        drop(lock);
        let what = format!("state {number}: {:?}", state.keys());
        match scenario.count {
            // The one state that a wallet's directory must not be in is that of a wallet without its password.
            0 => assert!(!wallet_without_password(&vault), "{what}"),
            _ => report.found(judge_between(&vault), &what),
        }
        if number % rerun_every == 0 {
            report.rerun(&sweep.vault_in(state), &format!("state {number}"));
        }
        report
    });
    sweep.end(
        &format!("power cut: {considered} states, {different} of them different"),
        report,
    );
}

fn wallet_without_password(vault: &Vault) -> bool {
    let wallet = vault.root.join("wallet");
    wallet.join("wallet.json").exists() && fs::read(wallet.join("password.txt")).map_or(true, |bytes| bytes.is_empty())
}

/// The place of a name: a directory and the name in it.
type Entry = (usize, String);

enum Change {
    Add(Entry, usize),
    Remove(Entry),
    Rename(Entry, Entry),
    Write(usize, Vec<u8>),
}

struct Step {
    change: Change,
    /// The number of steps after which it lasts.
    lasts_from: Option<usize>,
}

/// How much of a change is there.
#[derive(Clone, Copy, PartialEq)]
enum Part {
    Half,
    All,
}

#[derive(Clone)]
enum Node {
    Dir(BTreeMap<String, usize>),
    File(Vec<u8>),
}

/// The files of before, and what was done to them.
struct Log {
    before: Vec<Node>,
    steps: Vec<Step>,
}

impl Log {
    fn replay(before: &Tree, data_dir: &Path, calls: &[Call]) -> Self {
        let mut nodes = vec![Node::Dir(BTreeMap::new())];
        for (path, bytes) in before {
            let (dir, name) = entry(&nodes, path);
            let node = nodes.len();
            nodes.push(bytes.clone().map_or_else(|| Node::Dir(BTreeMap::new()), Node::File));
            names(&mut nodes, dir).insert(name, node);
        }
        let mut log = Self {
            before: nodes.clone(),
            steps: Vec::new(),
        };
        for call in calls.iter().filter(|call| !call.result.starts_with('-')) {
            log.take(call, data_dir, &mut nodes);
        }
        log
    }

    /// Takes a call down as a change to the nodes as they are now, or as the flush of one.
    fn take(&mut self, call: &Call, data_dir: &Path, nodes: &mut Vec<Node>) {
        let paths = call.paths();
        let paths: Vec<&Path> = paths
            .iter()
            .filter_map(|path| path.strip_prefix(data_dir).ok())
            .collect();
        let change = match call.name.as_str() {
            "openat" | "mkdir" | "mkdirat" => {
                let place = entry(nodes, paths[0]);
                if names(nodes, place.0).contains_key(&place.1) {
                    return;
                }
                let is_dir = call.name.starts_with("mkdir");
                let node = if is_dir {
                    Node::Dir(BTreeMap::new())
                } else {
                    Node::File(Vec::new())
                };
                // A new node is empty, whether its name lasts or not.
                self.before.push(node.clone());
                nodes.push(node);
                Change::Add(place, nodes.len() - 1)
            }
            "link" | "linkat" => Change::Add(entry(nodes, paths[1]), find(nodes, paths[0])),
            "unlink" | "unlinkat" | "rmdir" => Change::Remove(entry(nodes, paths[0])),
            "rename" | "renameat" | "renameat2" => Change::Rename(entry(nodes, paths[0]), entry(nodes, paths[1])),
            "write" => Change::Write(find(nodes, paths[0]), call.bytes()),
            "fsync" | "fdatasync" => return self.flush(find(nodes, paths[0])),
            other => panic!("`{other}` is not in the model"),
        };
        apply(nodes, &change, Part::All);
        self.steps.push(Step {
            change,
            lasts_from: None,
        });
    }

    fn flush(&mut self, flushed: usize) {
        let now = self.steps.len();
        for step in self.steps.iter_mut().filter(|step| step.lasts_from.is_none()) {
            let concerned = match &step.change {
                Change::Add((dir, _), _) | Change::Remove((dir, _)) => *dir == flushed,
                Change::Rename((from, _), (to, _)) => *from == flushed || *to == flushed,
                Change::Write(file, _) => *file == flushed,
            };
            if concerned {
                step.lasts_from = Some(now);
            }
        }
    }

    /// What may be there when the power goes after so many steps: for each step left open, it may be missing, there in
    /// part when it writes, or there.
    fn states(&self, moment: usize) -> Vec<Tree> {
        let mut choices: Vec<Vec<Option<Part>>> = vec![Vec::new()];
        for (position, step) in self.steps[..moment].iter().enumerate() {
            // A flush comes after the step before it, so at this moment it may not have happened yet.
            let lasts = step.lasts_from.is_some_and(|from| from < moment);
            let mut longer = Vec::new();
            for choice in choices {
                let held_up = (0..position)
                    .any(|earlier| choice[earlier] != Some(Part::All) && self.is_before(earlier, position));
                let mut options = Vec::new();
                if lasts {
                    options.push(Some(Part::All));
                } else {
                    options.push(None);
                    if !held_up {
                        options.push(Some(Part::All));
                        options.extend(matches!(step.change, Change::Write(..)).then_some(Some(Part::Half)));
                    }
                }
                for option in options {
                    let mut choice = choice.clone();
                    choice.push(option);
                    longer.push(choice);
                }
            }
            let every = longer.len().div_ceil(MOST_OF_A_MOMENT);
            choices = longer.into_iter().step_by(every).collect();
        }
        choices.iter().map(|choice| self.state(choice)).collect()
    }

    /// Whether a step cannot be there without an earlier one: both change one name, or write one file.
    fn is_before(&self, earlier: usize, later: usize) -> bool {
        let touched = |position: usize| match &self.steps[position].change {
            Change::Add(entry, _) | Change::Remove(entry) => (vec![entry.clone()], None),
            Change::Rename(from, to) => (vec![from.clone(), to.clone()], None),
            Change::Write(file, _) => (Vec::new(), Some(*file)),
        };
        let ((entries, file), (others, other)) = (touched(earlier), touched(later));
        file.is_some() && file == other || entries.iter().any(|entry| others.contains(entry))
    }

    fn state(&self, choice: &[Option<Part>]) -> Tree {
        let mut nodes = self.before.clone();
        for (step, part) in self.steps.iter().zip(choice) {
            if let Some(part) = part {
                apply(&mut nodes, &step.change, *part);
            }
        }
        let mut tree = Tree::new();
        let mut left = vec![(Path::new("").to_owned(), 0)];
        while let Some((path, node)) = left.pop() {
            match &nodes[node] {
                Node::File(bytes) => drop(tree.insert(path, Some(bytes.clone()))),
                Node::Dir(entries) => {
                    left.extend(entries.iter().map(|(name, node)| (path.join(name), *node)));
                    if node != 0 {
                        tree.insert(path, None);
                    }
                }
            }
        }
        tree
    }
}

fn apply(nodes: &mut [Node], change: &Change, part: Part) {
    match change {
        Change::Add((dir, name), node) => drop(names(nodes, *dir).insert(name.clone(), *node)),
        Change::Remove((dir, name)) => drop(names(nodes, *dir).remove(name)),
        Change::Rename((from, old), (to, new)) => {
            if let Some(node) = names(nodes, *from).remove(old) {
                names(nodes, *to).insert(new.clone(), node);
            }
        }
        Change::Write(file, bytes) => {
            let length = if part == Part::All {
                bytes.len()
            } else {
                bytes.len() / 2
            };
            let Node::File(there) = &mut nodes[*file] else {
                panic!("not a file")
            };
            there.extend_from_slice(&bytes[..length]);
        }
    }
}

fn names(nodes: &mut [Node], dir: usize) -> &mut BTreeMap<String, usize> {
    match &mut nodes[dir] {
        Node::Dir(names) => names,
        Node::File(_) => panic!("not a directory"),
    }
}

fn entry(nodes: &[Node], path: &Path) -> Entry {
    let name = path.file_name().unwrap().to_str().unwrap().to_owned();
    (find(nodes, path.parent().unwrap()), name)
}

fn find(nodes: &[Node], path: &Path) -> usize {
    path.components().fold(0, |node, component| {
        let (Node::Dir(names), Component::Normal(name)) = (&nodes[node], component) else {
            panic!("{}", path.display())
        };
        names[name.to_str().unwrap()]
    })
}
