//! Waiting for several answers of which some may not come.
//!
//! Guarantees: what is there is not held up for longer than the grace by what is not; with nothing there it waits, or
//! fails with the first error.
//! Not here: when waiting as a whole ends (the duty's deadline, in `step`).

use std::{collections::BTreeMap, time::Duration};

use futures::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};

use crate::ports::Clock;

/// A question with its name.
pub(super) type Asked<'a, K, T, E> = (K, BoxFuture<'a, Result<T, E>>);

/// Names a question.
pub(super) fn asked<'a, K, T, E>(key: K, answer: impl Future<Output = Result<T, E>> + Send + 'a) -> Asked<'a, K, T, E> {
    (key, Box::pin(answer))
}

/// The answers that came within `grace` of the first one, and all of them if that is sooner. `what` is for the log.
///
/// # Errors
///
/// The first error, if there is not a single answer.
pub(super) async fn gather<K: Ord, T, E: std::fmt::Display>(
    what: &'static str,
    clock: &dyn Clock,
    grace: Duration,
    questions: Vec<Asked<'_, K, T, E>>,
) -> Result<BTreeMap<K, T>, E> {
    let mut open: FuturesUnordered<_> = questions
        .into_iter()
        .map(|(key, answer)| async move { (key, answer.await) })
        .collect();
    let (mut there, mut failed, mut until) = (BTreeMap::new(), None, None);
    loop {
        let over = async {
            match until {
                Some(at) => clock.sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! { biased;
            next = open.next() => match next {
                None => break,
                Some((key, Ok(answer))) => {
                    there.insert(key, answer);
                    until.get_or_insert_with(|| clock.now().after(grace));
                }
                Some((_, Err(error))) => {
                    tracing::debug!(what, %error, "an answer did not come");
                    failed.get_or_insert(error);
                }
            },
            () = over => {
                tracing::debug!(what, missing = open.len(), "going on without some answers");
                break;
            }
        }
    }
    match failed {
        Some(error) if there.is_empty() => Err(error),
        Some(_) | None => Ok(there),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{clock::PausedClock, time::UnixTime};

    fn after(seconds: u64, answer: Result<u8, &'static str>) -> BoxFuture<'static, Result<u8, &'static str>> {
        Box::pin(async move {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            answer
        })
    }

    async fn gathered(
        questions: Vec<Asked<'static, u8, u8, &'static str>>,
    ) -> (Result<BTreeMap<u8, u8>, &'static str>, u64) {
        let clock = Arc::new(PausedClock::starting_at(UnixTime(0)));
        let got = gather("x", clock.as_ref(), Duration::from_secs(2), questions).await;
        (got, clock.now().secs())
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_never_answers_holds_the_others_up_for_the_grace_only() {
        let questions = vec![(1, after(1, Ok(1))), (2, after(2, Ok(2))), (3, after(99, Ok(3)))];
        assert_eq!(gathered(questions).await, (Ok([(1, 1), (2, 2)].into()), 3));
    }

    #[tokio::test(start_paused = true)]
    async fn without_any_answer_it_goes_on_waiting_and_fails_only_when_all_have_failed() {
        let questions = vec![(1, after(1, Err("a"))), (2, after(9, Ok(2)))];
        assert_eq!(gathered(questions).await, (Ok([(2, 2)].into()), 9));
        let questions = vec![(1, after(1, Err("a"))), (2, after(9, Err("b")))];
        assert_eq!(gathered(questions).await, (Err("a"), 9));
        assert_eq!(gathered(Vec::new()).await, (Ok(BTreeMap::new()), 0));
    }
}
