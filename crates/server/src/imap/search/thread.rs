//! THREAD (RFC 5256 §3): ORDEREDSUBJECT and REFERENCES, with all six steps of the latter.
//!
//! Messages and what they refer to are nodes; each knows its parent, which is all that step 1 needs. A link is checked for
//! a loop only where there can be one: the child must have children already. Everything after that is done in a fixed
//! number of passes and sorts, without recursion.
//!
//! Limits (attack A20): [`NODES`] identifiers in all; looking for loops may take [`STEPS`] steps for each node, which no
//! mail comes near to, before the command is refused.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use ::imap::{Reply, Search, ThreadAlgorithm, ThreadToken, Untagged};
use ::store::SearchColumn;

use super::digest::Id;
use super::keys::{self, Keys, Wanted};
use super::{Beyond, find};
use crate::imap::error;
use crate::imap::{Answer, Imap, Link};

/// Identifiers of one THREAD: messages and what they refer to.
const NODES: usize = 4_000_000;

/// Steps up the tree for each node.
const STEPS: u64 = 1_000;

/// No node.
const NONE: u32 = u32::MAX;

/// Searches, threads and answers.
pub async fn thread(
    imap: &mut Imap,
    link: &mut Link,
    algorithm: ThreadAlgorithm,
    mut search: Search,
) -> Answer {
    let (hits, spent) = find(imap, link, &mut search, Beyond::Refused).await?;
    let hits = Arc::new(hits);
    let told = Arc::clone(&imap.selected()?.told);
    let wanted = Wanted {
        texts: vec![SearchColumn::Base],
        dates: true,
        threads: algorithm == ThreadAlgorithm::References,
        collation: imap.collation,
        ..Wanted::default()
    };
    let user = imap.account()?;
    let load = keys::load(&imap.shared, user, &told, &hits, wanted, spent);
    let keys = imap.progress.during(link, None, load).await??;
    let numbers: Vec<u32> = hits
        .iter()
        .map(|hit| if search.uid { hit.uid } else { hit.seq })
        .collect();
    let work = move || match algorithm {
        ThreadAlgorithm::OrderedSubject => Some(ordered_subject(&keys, &numbers)),
        ThreadAlgorithm::References => references(&keys, &numbers),
    };
    // A small mailbox takes less than going to another thread.
    let tokens = if hits.len() <= 256 {
        work()
    } else {
        let shared = &imap.shared;
        let threads = async {
            let _turn = shared.searches.take(user).await;
            shared.db.blocking_for(user, move |_| Ok(work())).await
        };
        imap.progress.during(link, None, threads).await??
    };
    let tokens = tokens.ok_or(error::Failure::Reply(error::TOO_MUCH_WORK))?;
    link.session.untagged(&Untagged::Thread(tokens));
    Ok(Reply::ok("threaded"))
}

fn base(keys: &Keys, at: usize) -> &[u8] {
    let spans = keys.texts.first();
    let span = spans.and_then(|spans| spans.get(at));
    keys.text(span.copied().unwrap_or_default())
}

fn sent(keys: &Keys, at: usize) -> i64 {
    keys.sent.get(at).copied().unwrap_or(i64::MIN)
}

/// Poor man's threading: one thread for each base subject, the first message above all others.
fn ordered_subject(keys: &Keys, numbers: &[u32]) -> Vec<ThreadToken> {
    let mut order: Vec<usize> = (0..numbers.len()).collect();
    order.sort_by(|one, other| {
        base(keys, *one)
            .cmp(base(keys, *other))
            .then_with(|| sent(keys, *one).cmp(&sent(keys, *other)))
    });
    let mut threads: Vec<&[usize]> = order
        .chunk_by(|one, other| base(keys, *one) == base(keys, *other))
        .collect();
    // RFC 5256 §2.2: the place in the mailbox decides between equal dates.
    threads.sort_by_key(|thread| thread.first().map(|at| (sent(keys, *at), *at)));
    let mut tokens = Vec::with_capacity(numbers.len().saturating_mul(3));
    let message = |at: &usize| ThreadToken::Message(numbers.get(*at).copied().unwrap_or(0));
    for thread in threads {
        tokens.push(ThreadToken::Open);
        let Some((first, others)) = thread.split_first() else {
            continue;
        };
        tokens.push(message(first));
        match others {
            [only] => tokens.push(message(only)),
            others => {
                for other in others {
                    tokens.extend([ThreadToken::Open, message(other), ThreadToken::Close]);
                }
            }
        }
        tokens.push(ThreadToken::Close);
    }
    tokens
}

/// The REFERENCES algorithm; `None` if a limit is reached.
fn references(keys: &Keys, numbers: &[u32]) -> Option<Vec<ThreadToken>> {
    let parents = link(keys, numbers.len())?;
    let mut forest = Forest::prune(&parents, numbers.len());
    forest.sort_roots(keys);
    forest.merge_subjects(keys);
    Some(forest.tokens(keys, numbers))
}

/// Step 1: the parent of each node. Nodes below `count` are messages, the others are only referred to.
fn link(keys: &Keys, count: usize) -> Option<Vec<u32>> {
    // Keyed by the standard library's random state: who sends mail cannot make identifiers collide (attack A23).
    let mut nodes: HashMap<Id, u32> = HashMap::with_capacity(count);
    // The first message with an identifier has it; others with the same have none.
    for (at, id) in keys.ids.iter().enumerate() {
        if let Some(id) = id {
            nodes.entry(*id).or_insert(at as u32);
        }
    }
    let mut links = Links {
        parents: vec![NONE; count],
        children: vec![0; count],
        steps: 0,
    };
    let mut path: Vec<u32> = Vec::new();
    for at in 0..count {
        path.clear();
        for id in keys.references_of(at) {
            let node = match nodes.entry(*id) {
                Entry::Occupied(known) => *known.get(),
                Entry::Vacant(place) => {
                    let node = u32::try_from(links.parents.len()).ok()?;
                    links.parents.push(NONE);
                    links.children.push(0);
                    *place.insert(node)
                }
            };
            path.push(node);
        }
        if links.parents.len() > NODES.max(count) {
            return None;
        }
        // Step 1.A: what is linked stays linked.
        for pair in path.windows(2) {
            if let [parent, child] = *pair
                && links.parent(child) == NONE
            {
                links.link(parent, child)?;
            }
        }
        // Step 1.B: the last reference is the parent, whatever was thought before.
        let own = at as u32;
        match path.last() {
            Some(parent) if links.parent(own) == *parent => {}
            parent => {
                links.unlink(own);
                if let Some(parent) = parent {
                    links.link(*parent, own)?;
                }
            }
        }
    }
    Some(links.parents)
}

/// The tree while it is made.
struct Links {
    parents: Vec<u32>,
    /// How many children each node has.
    children: Vec<u32>,
    /// Steps taken to look for loops.
    steps: u64,
}

impl Links {
    fn parent(&self, node: u32) -> u32 {
        self.parents.get(node as usize).copied().unwrap_or(NONE)
    }

    /// Links, unless that made a loop; `None` if looking for it took too long.
    fn link(&mut self, parent: u32, child: u32) -> Option<()> {
        if parent == child {
            return Some(());
        }
        // Only what has children can be above its own parent.
        if self.children.get(child as usize) != Some(&0) {
            let mut above = self.parent(parent);
            while above != NONE {
                if above == child {
                    return Some(());
                }
                above = self.parent(above);
                self.steps = self.steps.saturating_add(1);
            }
            if self.steps > STEPS.saturating_mul(self.parents.len() as u64) {
                return None;
            }
        }
        *self.parents.get_mut(child as usize)? = parent;
        *self.children.get_mut(parent as usize)? += 1;
        Some(())
    }

    fn unlink(&mut self, child: u32) {
        let parent = self.parent(child);
        if let Some(place) = self.parents.get_mut(child as usize) {
            *place = NONE;
        }
        if let Some(children) = self.children.get_mut(parent as usize) {
            *children = children.saturating_sub(1);
        }
    }
}

/// The threads: messages below messages, and dummies among the roots alone.
struct Forest {
    /// Messages; nodes from here on are dummies.
    count: u32,
    /// The parent of each node; [`NONE`] for roots.
    parents: Vec<u32>,
    roots: Vec<u32>,
}

impl Forest {
    /// Steps 2 and 3: what was only referred to goes, its children take its place; but not at the top, where it keeps
    /// several together.
    fn prune(parents: &[u32], count: usize) -> Forest {
        let total = parents.len();
        let children = Children::of(parents, total);
        let first_dummy = count as u32;
        // Top-down: for each node, the nearest message above it, or the dummy at the top.
        let mut anchor = vec![NONE; total];
        let mut queue: Vec<u32> = Vec::with_capacity(total);
        queue.extend((0..total as u32).filter(|node| parents.get(*node as usize) == Some(&NONE)));
        let mut next = 0;
        while let Some(node) = queue.get(next).copied() {
            next += 1;
            let own = anchor.get(node as usize).copied().unwrap_or(NONE);
            let for_children = match node < first_dummy {
                true => node,
                // The top dummy holds on to what is below it, one below another hands it up.
                false if own == NONE => node,
                false => own,
            };
            for child in children.get(node) {
                if let Some(place) = anchor.get_mut(*child as usize) {
                    *place = for_children;
                }
                queue.push(*child);
            }
        }
        let mut held = vec![0u32; total];
        for at in 0..count {
            let above = anchor.get(at).copied().unwrap_or(NONE);
            if let Some(held) = held.get_mut(above as usize) {
                *held += 1;
            }
        }
        let mut roots = Vec::new();
        for at in 0..count {
            let Some(above) = anchor.get_mut(at) else {
                continue;
            };
            let lonely =
                *above != NONE && *above >= first_dummy && held.get(*above as usize) == Some(&1);
            if lonely {
                *above = NONE;
            }
            if *above == NONE {
                roots.push(at as u32);
            }
        }
        let kept = first_dummy..total as u32;
        roots.extend(kept.filter(|dummy| held.get(*dummy as usize).is_some_and(|held| *held > 1)));
        // Dummies that are none any more have nothing below them.
        for place in anchor.iter_mut().skip(count) {
            *place = NONE;
        }
        Forest {
            count: first_dummy,
            parents: anchor,
            roots,
        }
    }

    fn is_dummy(&self, node: u32) -> bool {
        node >= self.count
    }

    /// By what a message is sorted among its siblings.
    fn order(&self, keys: &Keys, node: u32) -> (i64, u32) {
        (sent(keys, node as usize), node)
    }

    /// For each dummy, its first child by date.
    fn first_children(&self, keys: &Keys) -> HashMap<u32, (i64, u32)> {
        let mut first: HashMap<u32, (i64, u32)> = HashMap::new();
        for node in 0..self.count {
            let parent = self.parents.get(node as usize).copied().unwrap_or(NONE);
            if parent != NONE && self.is_dummy(parent) {
                let own = self.order(keys, node);
                let best = first.entry(parent).or_insert(own);
                *best = own.min(*best);
            }
        }
        first
    }

    /// Step 4, and of step 6 what concerns the top.
    fn sort_roots(&mut self, keys: &Keys) {
        let first = self.first_children(keys);
        let mut roots = std::mem::take(&mut self.roots);
        roots.sort_by_cached_key(|root| match first.get(root) {
            Some(first) => *first,
            None => self.order(keys, *root),
        });
        self.roots = roots;
    }

    /// Step 5: threads of one subject become one.
    fn merge_subjects(&mut self, keys: &Keys) {
        let first = self.first_children(keys);
        // The message that speaks for a root: itself, or a dummy's first child.
        let speaker = |root: u32| match first.get(&root) {
            Some((_, child)) => *child as usize,
            None => root as usize,
        };
        let count = self.count;
        let reply =
            |root: u32| root < count && keys.reply.get(root as usize).copied().unwrap_or(false);
        // Step 5.B.
        let mut table: HashMap<&[u8], u32> = HashMap::with_capacity(self.roots.len());
        for root in &self.roots {
            let subject = base(keys, speaker(*root));
            if subject.is_empty() {
                continue;
            }
            match table.entry(subject) {
                Entry::Vacant(place) => {
                    place.insert(*root);
                }
                Entry::Occupied(mut place) => {
                    let held = *place.get();
                    let better = self.is_dummy(*root) || (reply(held) && !reply(*root));
                    if !self.is_dummy(held) && better {
                        place.insert(*root);
                    }
                }
            }
        }
        // Step 5.C. Dummies' children are handed over by renaming the dummy, once for all in the end.
        let mut renamed: HashMap<u32, u32> = HashMap::new();
        let mut roots: Vec<u32> = Vec::with_capacity(self.roots.len());
        let mut gone: Vec<u32> = Vec::new();
        let mut next_dummy = self.parents.len() as u32;
        for root in std::mem::take(&mut self.roots) {
            let subject = base(keys, speaker(root));
            let held = table.get(subject).copied();
            let Some(held) = held.filter(|held| !subject.is_empty() && *held != root) else {
                roots.push(root);
                continue;
            };
            match (self.is_dummy(held), self.is_dummy(root)) {
                (true, true) => {
                    renamed.insert(root, held);
                }
                (true, false) => self.put_below(root, held),
                (false, _) if reply(root) && !reply(held) => self.put_below(root, held),
                (false, _) => {
                    let dummy = next_dummy;
                    next_dummy = next_dummy.saturating_add(1);
                    self.parents.push(NONE);
                    self.put_below(root, dummy);
                    self.put_below(held, dummy);
                    gone.push(held);
                    roots.push(dummy);
                    table.insert(subject, dummy);
                }
            }
        }
        if !gone.is_empty() {
            gone.sort_unstable();
            roots.retain(|root| gone.binary_search(root).is_err());
        }
        if !renamed.is_empty() {
            for parent in &mut self.parents {
                if let Some(new) = renamed.get(parent) {
                    *parent = *new;
                }
            }
        }
        self.roots = roots;
        self.sort_roots(keys);
    }

    fn put_below(&mut self, node: u32, parent: u32) {
        if let Some(place) = self.parents.get_mut(node as usize) {
            *place = parent;
        }
    }

    /// Step 6, and the response.
    fn tokens(&self, keys: &Keys, numbers: &[u32]) -> Vec<ThreadToken> {
        let mut children = Children::of(&self.parents, self.count as usize);
        children.sort(|node| self.order(keys, node));
        let mut tokens = Vec::with_capacity(numbers.len().saturating_mul(3));
        for root in &self.roots {
            tokens.push(ThreadToken::Open);
            self.thread(*root, &children, numbers, &mut tokens);
            tokens.push(ThreadToken::Close);
        }
        tokens
    }

    fn thread(
        &self,
        root: u32,
        children: &Children,
        numbers: &[u32],
        tokens: &mut Vec<ThreadToken>,
    ) {
        let mut steps = vec![Step::Node(root)];
        while let Some(step) = steps.pop() {
            let node = match step {
                Step::Open => {
                    tokens.push(ThreadToken::Open);
                    continue;
                }
                Step::Close => {
                    tokens.push(ThreadToken::Close);
                    continue;
                }
                Step::Node(node) => node,
            };
            if let Some(number) = numbers.get(node as usize) {
                tokens.push(ThreadToken::Message(*number));
            }
            match children.get(node) {
                [] => {}
                [only] if !self.is_dummy(node) => steps.push(Step::Node(*only)),
                many => {
                    for child in many.iter().rev() {
                        steps.extend([Step::Close, Step::Node(*child), Step::Open]);
                    }
                }
            }
        }
    }
}

/// What is still to be written of a thread.
enum Step {
    Open,
    Node(u32),
    Close,
}

/// The children of each node, together in one list.
struct Children {
    starts: Vec<u32>,
    list: Vec<u32>,
}

impl Children {
    /// From the parents of the first `count` nodes.
    fn of(parents: &[u32], count: usize) -> Children {
        let mut starts = vec![0u32; parents.len().saturating_add(1)];
        let linked = || {
            let nodes = parents.iter().take(count).enumerate();
            nodes.filter(|(_, parent)| **parent != NONE)
        };
        for (_, parent) in linked() {
            if let Some(next) = starts.get_mut((*parent as usize).saturating_add(1)) {
                *next += 1;
            }
        }
        let mut sum = 0;
        for start in &mut starts {
            sum += *start;
            *start = sum;
        }
        let mut list = vec![0u32; sum as usize];
        let mut next = starts.clone();
        for (node, parent) in linked() {
            if let Some(next) = next.get_mut(*parent as usize) {
                if let Some(place) = list.get_mut(*next as usize) {
                    *place = node as u32;
                }
                *next += 1;
            }
        }
        Children { starts, list }
    }

    fn get(&self, node: u32) -> &[u32] {
        let at = node as usize;
        match (self.starts.get(at), self.starts.get(at.saturating_add(1))) {
            (Some(from), Some(to)) => self.list.get(*from as usize..*to as usize),
            _ => None,
        }
        .unwrap_or_default()
    }

    fn sort(&mut self, key: impl Fn(u32) -> (i64, u32)) {
        for bounds in self.starts.windows(2) {
            if let [from, to] = *bounds
                && let Some(siblings) = self.list.get_mut(from as usize..to as usize)
            {
                siblings.sort_by_key(|node| key(*node));
            }
        }
    }
}

#[cfg(test)]
mod tests;
