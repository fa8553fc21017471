//! Sends operations: in the order of their lanes, 20 to a batch, at the permitted pace, one call per object at a time.
//!
//! # Guarantees
//! - Every operation gets exactly one outcome, as soon as it is known.
//! - The permit is asked before each request; waits end when it is withdrawn.
//! - A batch goes out short only when nothing else is under way that could fill it.
//! - Deletes go last, when everything else is settled.

use std::{
    collections::{BTreeSet, HashMap, HashSet, VecDeque},
    time::Duration,
};

use futures::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use plumbline_engine::{
    anchor::Anchor,
    entry::Class,
    operation::{Change, Lane, Operation, Outcome},
    port::Permit,
};
use tokio::time::{Instant, sleep_until};

use super::{
    GraphError, GraphTarget,
    answer::Verdict,
    call::Call,
    connection::{Answer, Connection, PARTS, SendError, backoff},
    permission::sufficient,
    task::{Next, Task, Then, World},
};
use crate::session::SessionError;

/// Batches under way at once: enough to keep the pace where an answer takes some seconds.
const UNDER_WAY: usize = 4;
/// How long a short batch waits for repetitions that are due soon.
const LINGER: Duration = Duration::from_millis(500);
/// How long answers are waited for once the permit is withdrawn.
const FAREWELL: Duration = Duration::from_secs(3);
/// How long replicas may take to show an object before its operation is left to the next cycle.
const LAG: Duration = Duration::from_secs(60);
const ATTEMPTS: u32 = 10;
/// Batches lost in a row before the export ends.
const LOST_IN_A_ROW: u32 = 6;

type Key = (Class, Anchor);

/// A batch that came back.
struct Returned {
    tasks: Vec<usize>,
    calls: Vec<Call>,
    result: Result<Vec<Option<Answer>>, SendError>,
}

struct Export<'a> {
    tasks: Vec<Task>,
    /// Per object the tasks to come; only the first may be sent.
    queues: HashMap<Key, VecDeque<usize>>,
    ready: BTreeSet<(Lane, usize)>,
    delayed: BTreeSet<(Instant, usize)>,
    /// Tasks that wait for a create.
    waiting: Vec<usize>,
    open: usize,
    open_deletes: usize,
    linger: Option<Instant>,
    lost_in_a_row: u32,
    failure: Option<GraphError>,
    connection: &'a Connection,
    world: World<'a>,
}

/// What to do until something can be sent.
enum Pick {
    Batch(Vec<usize>, Vec<Call>),
    Wait(Option<Instant>),
}

pub(super) async fn export(
    target: &mut GraphTarget,
    operations: Vec<Operation>,
    permit: &dyn Permit,
    report: &mut (dyn FnMut(usize, Outcome) + Send),
) -> Result<(), GraphError> {
    let connection = target.connection.clone();
    let world = World {
        view: &mut target.view,
        mark: &target.mark,
        root: connection.root(),
        creating: HashSet::new(),
        outcomes: Vec::new(),
        now: Instant::now(),
        lacking: None,
    };
    let mut export = Export::new(operations, &connection, world);
    let mut under_way: FuturesUnordered<BoxFuture<'_, Returned>> = FuturesUnordered::new();
    let mut withdrawn = permit.withdrawn();
    let mut stop_at = None;
    loop {
        let mut wake = stop_at;
        while stop_at.is_none() && under_way.len() < UNDER_WAY {
            match export.pick(!under_way.is_empty()) {
                Pick::Batch(tasks, calls) => {
                    let connection = &connection;
                    under_way.push(Box::pin(async move {
                        let result = connection.batch(&calls, Some(permit)).await;
                        Returned {
                            tasks,
                            calls,
                            result,
                        }
                    }));
                }
                Pick::Wait(until) => {
                    wake = until;
                    break;
                }
            }
        }
        export.tell(report);
        if under_way.is_empty() && (stop_at.is_some() || export.open == 0) {
            break;
        }
        if under_way.is_empty() && wake.is_none() {
            // Nothing is under way and nothing is due: what is left waits for objects that will not come.
            export.leave(false);
            continue;
        }
        tokio::select! {
            Some(returned) = under_way.next(), if !under_way.is_empty() => {
                if export.absorb(returned) && stop_at.is_none() {
                    stop_at = Some(Instant::now() + FAREWELL);
                }
                export.tell(report);
            }
            () = sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {
                if stop_at.is_some() {
                    break;
                }
            }
            () = &mut withdrawn, if stop_at.is_none() => stop_at = Some(Instant::now() + FAREWELL),
        }
    }
    drop(under_way);
    export.leave(true);
    export.tell(report);
    export.failure.map_or(Ok(()), Err)
}

impl<'a> Export<'a> {
    fn new(operations: Vec<Operation>, connection: &'a Connection, mut world: World<'a>) -> Self {
        let mut order: Vec<(usize, Operation)> = operations.into_iter().enumerate().collect();
        order.sort_by_key(|(position, operation)| (operation.change.lane(), *position));
        let mut tasks: Vec<Task> = Vec::new();
        let mut queues: HashMap<Key, VecDeque<usize>> = HashMap::new();
        for (position, operation) in order {
            let queue = queues
                .entry((operation.class, operation.anchor.clone()))
                .or_default();
            if let Change::AddMember { member } = &operation.change
                && let Some(last) = queue.back().and_then(|last| tasks.get_mut(*last))
                && last.take_member(position, member)
            {
                continue;
            }
            queue.push_back(tasks.len());
            let task = Task::new(position, operation);
            if task.is_create() {
                world.creating.insert((task.class, task.anchor.clone()));
            }
            tasks.push(task);
        }
        let first = queues.values().filter_map(VecDeque::front);
        let ready = first
            .filter_map(|index| Some((tasks.get(*index)?.lane, *index)))
            .collect();
        Self {
            open: tasks.len(),
            open_deletes: tasks
                .iter()
                .filter(|task| task.lane == Lane::Delete)
                .count(),
            queues,
            ready,
            tasks,
            delayed: BTreeSet::new(),
            waiting: Vec::new(),
            linger: None,
            lost_in_a_row: 0,
            failure: None,
            connection,
            world,
        }
    }

    fn tell(&mut self, report: &mut (dyn FnMut(usize, Outcome) + Send)) {
        for (position, outcome) in self.world.outcomes.drain(..) {
            report(position, outcome);
        }
    }

    /// The next batch, or until when to wait.
    fn pick(&mut self, busy: bool) -> Pick {
        let now = Instant::now();
        self.world.now = now;
        while let Some((due, index)) = self.delayed.first().copied().filter(|(due, _)| *due <= now)
        {
            self.delayed.remove(&(due, index));
            self.make_ready(index);
        }
        let soonest = self.delayed.first().map(|(due, _)| *due);
        let size = PARTS.min(self.connection.pace().largest());
        let mut chosen = Vec::new();
        let mut calls = Vec::new();
        while calls.len() < size {
            let Some((lane, index)) = self.ready.first().copied() else {
                break;
            };
            if lane == Lane::Delete && self.open > self.open_deletes {
                break;
            }
            self.ready.remove(&(lane, index));
            let Some(task) = self.tasks.get_mut(index) else {
                continue;
            };
            match task.next(&mut self.world) {
                Next::Send(call) => {
                    chosen.push(index);
                    calls.push(call);
                }
                Next::Wait => self.waiting.push(index),
                Next::Settled => self.settle(index),
            }
        }
        if calls.is_empty() {
            // Settling may have made others ready.
            let more = self
                .ready
                .first()
                .is_some_and(|(lane, _)| *lane != Lane::Delete || self.open <= self.open_deletes);
            return Pick::Wait(if more { Some(now) } else { soonest });
        }
        if calls.len() < size && (busy || self.may_linger(soonest, now)) {
            self.put_back(&chosen);
            return Pick::Wait(if busy { soonest } else { self.linger });
        }
        let writes = calls.iter().filter(|call| call.is_write()).count();
        let leave = self.connection.pace().take(writes, now);
        if let Err(wait) = leave {
            self.put_back(&chosen);
            return Pick::Wait(Some(now + wait));
        }
        self.linger = None;
        for index in &chosen {
            if let Some(task) = self.tasks.get_mut(*index) {
                task.sent = true;
            }
        }
        Pick::Batch(chosen, calls)
    }

    /// Whether a short batch waits a moment for repetitions that are due soon. It does so once.
    fn may_linger(&mut self, soonest: Option<Instant>, now: Instant) -> bool {
        match (self.linger, soonest) {
            (Some(until), _) => now < until,
            (None, Some(due)) if due <= now + LINGER => {
                self.linger = Some(now + LINGER);
                true
            }
            (None, _) => false,
        }
    }

    fn put_back(&mut self, chosen: &[usize]) {
        for index in chosen {
            if let Some(task) = self.tasks.get_mut(*index) {
                task.sent = false;
                task.put_back();
            }
            self.make_ready(*index);
        }
    }

    fn make_ready(&mut self, index: usize) {
        if let Some(task) = self.tasks.get(index) {
            self.ready.insert((task.lane, index));
        }
    }

    /// A task is over: the next of its object may go, and those who waited for a create look again.
    fn settle(&mut self, index: usize) {
        let Some(task) = self.tasks.get(index) else {
            return;
        };
        let key = (task.class, task.anchor.clone());
        self.open -= 1;
        self.open_deletes -= usize::from(task.lane == Lane::Delete);
        if task.is_create() {
            self.world.creating.remove(&key);
            for waiting in std::mem::take(&mut self.waiting) {
                self.make_ready(waiting);
            }
        }
        let next = self.queues.get_mut(&key).and_then(|queue| {
            queue.pop_front();
            queue.front().copied()
        });
        if let Some(next) = next {
            self.make_ready(next);
        }
    }

    /// Takes a batch's answers in; `true` when the export must end.
    fn absorb(&mut self, returned: Returned) -> bool {
        self.world.now = Instant::now();
        let Returned {
            tasks,
            calls,
            result,
        } = returned;
        let answers = match result {
            Ok(answers) => {
                self.lost_in_a_row = 0;
                answers
            }
            Err(SendError::Withdrawn) => {
                self.put_back(&tasks);
                return true;
            }
            Err(error) => return self.lost(&tasks, &calls, error),
        };
        for ((index, call), answer) in tasks.into_iter().zip(&calls).zip(answers) {
            if let Some(answer) = &answer {
                self.note_quota(call, answer);
            }
            let Some(task) = self.tasks.get_mut(index) else {
                continue;
            };
            task.sent = false;
            self.world.lacking = self.connection.session().lacking(sufficient(call));
            let then = if let Some(answer) = &answer {
                task.answered(answer, &mut self.world)
            } else {
                task.unanswered(call);
                Then::Again(None)
            };
            let throttled = answer.is_some_and(|answer| answer.status == 429);
            self.follow(index, &then, throttled);
        }
        false
    }

    fn note_quota(&self, call: &Call, answer: &Answer) {
        let mut pace = self.connection.pace();
        if let Some(used) = answer.used {
            pace.used(used, self.world.now);
        }
        if answer.judge().0 == Verdict::Throttled && call.is_write() {
            pace.refused(
                answer.retry_after.unwrap_or(Duration::from_secs(10)),
                self.world.now,
            );
        }
    }

    fn follow(&mut self, index: usize, then: &Then, throttled: bool) {
        let now = self.world.now;
        let Some(task) = self.tasks.get_mut(index) else {
            return;
        };
        let wait = match then {
            Then::Settled => return self.settle(index),
            Then::Go => {
                task.attempts = 0;
                return self.make_ready(index);
            }
            Then::Again(wait) => {
                // Refusals for quota are the pace's matter and never wear patience out.
                task.attempts += u32::from(!throttled);
                if task.attempts > ATTEMPTS {
                    task.give_up(&mut self.world);
                    return self.settle(index);
                }
                wait.unwrap_or_else(|| backoff(task.attempts))
            }
            Then::Lag => {
                let since = *task.lagging_since.get_or_insert(now);
                if now.saturating_duration_since(since) > LAG {
                    task.give_up(&mut self.world);
                    return self.settle(index);
                }
                task.lags += 1;
                backoff(task.lags)
            }
        };
        self.delayed.insert((now + wait, index));
    }

    /// A batch got no answer. `true` when the export must end.
    fn lost(&mut self, tasks: &[usize], calls: &[Call], error: SendError) -> bool {
        let unsent = matches!(&error, SendError::Session(_))
            || matches!(&error, SendError::Http(http) if http.is_unsent());
        let fatal = matches!(&error, SendError::Session(SessionError::Refused { .. }));
        self.lost_in_a_row += 1;
        for (index, call) in tasks.iter().zip(calls) {
            if let Some(task) = self.tasks.get_mut(*index) {
                task.sent = false;
                if unsent {
                    task.put_back();
                } else {
                    task.unanswered(call);
                }
            }
            self.follow(*index, &Then::Again(None), false);
        }
        if fatal || self.lost_in_a_row >= LOST_IN_A_ROW {
            self.failure = calls.first().map(|call| GraphError::unsent(call, error));
            return true;
        }
        false
    }

    /// Gives everything that is left an outcome.
    fn leave(&mut self, stopped: bool) {
        let queued: Vec<usize> = self
            .queues
            .values_mut()
            .flat_map(|queue| queue.drain(..))
            .collect();
        for index in queued {
            let Some(task) = self.tasks.get(index) else {
                continue;
            };
            let outcome = match (task.doubt || task.sent, stopped) {
                (true, _) => Outcome::Unknown,
                (false, true) => Outcome::NotSent,
                (false, false) => Outcome::NotYet { retry_after: None },
            };
            let positions = task.open();
            self.world.outcomes.extend(
                positions
                    .into_iter()
                    .map(|position| (position, outcome.clone())),
            );
        }
        self.ready.clear();
        self.delayed.clear();
        self.waiting.clear();
        self.open = 0;
        self.open_deletes = 0;
    }
}
