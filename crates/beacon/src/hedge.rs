//! One question to several, in their order: the next one is asked when the ones before have taken too long or failed.
//!
//! Guarantees: the first good answer wins and the other requests are dropped; nobody is asked twice; without a good
//! answer every failure is returned.
//! Not here: who is asked and how long is too long.

use std::{collections::VecDeque, time::Duration};

use futures::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};

/// What is asked, how long it may take before the next one is asked too, and how it is asked.
pub(crate) struct Entrant<'a, K, T, E> {
    pub(crate) who: K,
    pub(crate) patience: Duration,
    pub(crate) ask: Box<dyn FnOnce() -> BoxFuture<'a, Result<T, E>> + Send + 'a>,
}

/// The first good answer and whose it is, or all failures in the order in which they came. Drop-safe.
pub(crate) async fn race<'a, K, T, E>(entrants: Vec<Entrant<'a, K, T, E>>) -> Result<(K, T), Vec<(K, E)>>
where
    K: Send + 'a,
    T: Send + 'a,
    E: Send + 'a,
{
    let mut waiting = VecDeque::from(entrants);
    let mut running = FuturesUnordered::new();
    let mut failures = Vec::new();
    let patience = tokio::time::sleep(Duration::ZERO);
    tokio::pin!(patience);
    let mut start_next = true;
    loop {
        if std::mem::take(&mut start_next)
            && let Some(Entrant {
                who,
                patience: wait,
                ask,
            }) = waiting.pop_front()
        {
            running.push(ask().map(move |answer| (who, answer)));
            patience.as_mut().reset(tokio::time::Instant::now() + wait);
        }
        tokio::select! { biased;
            answer = running.next() => match answer {
                Some((who, Ok(answer))) => return Ok((who, answer)),
                Some((who, Err(failure))) => {
                    failures.push((who, failure));
                    start_next = true;
                }
                None => return Err(failures),
            },
            () = &mut patience, if !waiting.is_empty() => start_next = true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Plan = (u64, Result<&'static str, &'static str>);

    /// Answers after so many milliseconds; everybody's patience is 100 ms.
    fn entrant(who: usize, (after, answer): Plan) -> Entrant<'static, usize, &'static str, &'static str> {
        Entrant {
            who,
            patience: Duration::from_millis(100),
            ask: Box::new(move || {
                Box::pin(async move {
                    tokio::time::sleep(Duration::from_millis(after)).await;
                    answer
                })
            }),
        }
    }

    async fn run(plans: &[Plan]) -> (Result<(usize, &'static str), Vec<(usize, &'static str)>>, u128) {
        let began = tokio::time::Instant::now();
        let result = race(plans.iter().enumerate().map(|(i, p)| entrant(i, *p)).collect()).await;
        (result, began.elapsed().as_millis())
    }

    #[tokio::test(start_paused = true)]
    async fn quick_answer_asks_nobody_else() {
        assert_eq!(run(&[(99, Ok("a")), (0, Ok("b"))]).await, (Ok((0, "a")), 99));
    }

    #[tokio::test(start_paused = true)]
    async fn slow_one_is_overtaken_by_the_next() {
        assert_eq!(run(&[(5_000, Ok("a")), (20, Ok("b"))]).await, (Ok((1, "b")), 120));
        assert_eq!(run(&[(150, Ok("a")), (300, Ok("b"))]).await, (Ok((0, "a")), 150));
        assert_eq!(
            run(&[(5_000, Ok("a")), (5_000, Ok("b")), (7, Ok("c"))]).await,
            (Ok((2, "c")), 207)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn failure_asks_the_next_at_once() {
        assert_eq!(run(&[(10, Err("x")), (20, Ok("b"))]).await, (Ok((1, "b")), 30));
    }

    #[tokio::test(start_paused = true)]
    async fn failure_of_the_second_does_not_end_the_first() {
        assert_eq!(run(&[(400, Ok("a")), (10, Err("x"))]).await, (Ok((0, "a")), 400));
    }

    #[tokio::test(start_paused = true)]
    async fn all_failures_are_told_in_their_order() {
        let (result, took) = run(&[(150, Err("x")), (10, Err("y"))]).await;
        assert_eq!((result, took), (Err(vec![(1, "y"), (0, "x")]), 150));
        assert_eq!(run(&[]).await, (Err(Vec::new()), 0));
    }
}
