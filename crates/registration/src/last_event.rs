//! The latest event of a kind, without searching the whole chain for it each time.

use sw_chain_client::ExecutionError;

/// What was found, and how far was searched. Blocks that a reorganisation may have replaced are searched again.
#[derive(Debug, Clone)]
pub(crate) struct LastEvent<E> {
    first_block: u64,
    found: Option<(E, u64)>,
    searched: Option<u64>,
    /// The head when the whole chain was searched last.
    searched_all: u64,
    /// First and last block of what a search of the whole chain has seen so far, without an event: a provider of short
    /// ranges takes hours for all of it, and may fail any time.
    empty: Option<(u64, u64)>,
}

/// Blocks: two epochs, after which they are final in usual times.
const REORG_MARGIN: u64 = 64;
/// Blocks after which a search of the whole chain is not begun again from the head.
const PIECE: u64 = 50_000;
/// Blocks, 25 minutes or an hour of them, after which the whole chain is searched again for what was nowhere to be found: the
/// node may have pruned its logs, and the next one not.
const NOWHERE: u64 = 300;

impl<E> LastEvent<E> {
    /// Nothing was searched; no event lies before `first_block`.
    pub(crate) fn new(first_block: u64) -> Self {
        Self {
            first_block,
            found: None,
            searched: None,
            searched_all: 0,
            empty: None,
        }
    }

    /// The latest event at the block `head`, and its block. `search` looks for the latest one in a range of blocks.
    ///
    /// # Errors
    ///
    /// Those of `search`; what is known stays.
    pub(crate) async fn at<F>(
        &mut self,
        head: u64,
        search: impl Fn(u64, u64) -> F,
    ) -> Result<Option<&(E, u64)>, ExecutionError>
    where
        F: Future<Output = Result<Option<(E, u64)>, ExecutionError>>,
    {
        let is_nowhere = self.found.is_none() && head.saturating_sub(self.searched_all) >= NOWHERE;
        let resume = self
            .searched
            .filter(|_| !is_nowhere)
            .map(|searched| searched.saturating_sub(REORG_MARGIN).max(self.first_block));
        let Some(from) = resume.filter(|from| *from <= head) else {
            return self.everywhere(head, search).await;
        };
        match search(from, head).await? {
            Some(found) => self.found = Some(found),
            // It was there and is not any more: whatever came before it counts again.
            None if self.found.as_ref().is_some_and(|(_, block)| *block >= from) => {
                return self.everywhere(head, search).await;
            }
            None => {}
        }
        self.searched = Some(head);
        Ok(self.found.as_ref())
    }

    /// The next search is one of the whole chain.
    pub(crate) fn forget(&mut self) {
        self.searched = None;
        self.empty = None;
    }

    async fn everywhere<F>(
        &mut self,
        head: u64,
        search: impl Fn(u64, u64) -> F,
    ) -> Result<Option<&(E, u64)>, ExecutionError>
    where
        F: Future<Output = Result<Option<(E, u64)>, ExecutionError>>,
    {
        self.found = self.latest(head, search).await?;
        self.searched = Some(head);
        self.searched_all = head;
        self.empty = None;
        Ok(self.found.as_ref())
    }

    /// Goes back from the head piece by piece.
    async fn latest<F>(&mut self, head: u64, search: impl Fn(u64, u64) -> F) -> Result<Option<(E, u64)>, ExecutionError>
    where
        F: Future<Output = Result<Option<(E, u64)>, ExecutionError>>,
    {
        let first_block = self.first_block.min(head);
        let mut below = head.saturating_add(1);
        if let Some((from, to)) = self.empty.filter(|(_, to)| *to <= head) {
            if let Some(found) = search(to.saturating_sub(REORG_MARGIN).max(from), head).await? {
                return Ok(Some(found));
            }
            below = from;
        }
        while below > first_block {
            let from = below.saturating_sub(PIECE).max(first_block);
            if let Some(found) = search(from, below - 1).await? {
                return Ok(Some(found));
            }
            below = from;
            self.empty = Some((from, head));
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    /// Events by block, and the ranges that were searched.
    #[derive(Default)]
    struct Chain {
        events: Vec<(&'static str, u64)>,
        searched: RefCell<Vec<(u64, u64)>>,
    }

    impl Chain {
        async fn at(&self, last: &mut LastEvent<&'static str>, head: u64) -> Option<&'static str> {
            let found = last
                .at(head, |from, to| {
                    self.searched.borrow_mut().push((from, to));
                    let within = self.events.iter().filter(move |(_, block)| (from..=to).contains(block));
                    std::future::ready(Ok(within.max_by_key(|(_, block)| *block).copied()))
                })
                .await;
            found.expect("the search does not fail").map(|(event, _)| *event)
        }
    }

    #[tokio::test]
    async fn the_chain_is_searched_once_and_then_only_near_the_head() {
        let chain = Chain {
            events: vec![("old", 120), ("new", 5000)],
            ..Chain::default()
        };
        let mut last = LastEvent::new(100);
        assert_eq!(chain.at(&mut last, 4000).await, Some("old"));
        assert_eq!(chain.at(&mut last, 4001).await, Some("old"));
        assert_eq!(chain.at(&mut last, 5001).await, Some("new"));
        assert_eq!(chain.at(&mut last, 6000).await, Some("new"));
        assert_eq!(
            *chain.searched.borrow(),
            [(100, 4000), (3936, 4001), (3937, 5001), (4937, 6000)]
        );
        last.forget();
        assert_eq!(chain.at(&mut last, 6000).await, Some("new"));
        assert_eq!(chain.searched.borrow().last(), Some(&(100, 6000)));
    }

    #[tokio::test]
    async fn a_search_that_fails_goes_on_where_it_was() {
        let searched = RefCell::new(Vec::new());
        let mut last = LastEvent::new(100);
        for (head, reach) in [(250_000, 150_000), (250_010, 25_000)] {
            let failed = last.at(head, |from, to| {
                searched.borrow_mut().push((from, to));
                let gone = ExecutionError::Unavailable(Vec::new());
                std::future::ready(if from < reach {
                    Err(gone)
                } else {
                    Ok(None::<(&str, u64)>)
                })
            });
            assert!(failed.await.is_err());
        }
        let found = last.at(250_020, |from, to| {
            searched.borrow_mut().push((from, to));
            std::future::ready(Ok((from..=to).contains(&120).then_some(("old", 120))))
        });
        assert_eq!(found.await.expect("the search does not fail"), Some(&("old", 120)));
        let searched = searched.into_inner();
        let first = [(200_001, 250_000), (150_001, 200_000), (100_001, 150_000)];
        let second = [(249_936, 250_010), (100_001, 150_000), (50_001, 100_000), (100, 50_000)];
        let third = [(249_946, 250_020), (100, 50_000)];
        assert_eq!(searched, [&first[..], &second, &third].concat());
    }

    #[tokio::test]
    async fn what_a_node_kept_to_itself_is_looked_for_again() {
        let mut chain = Chain::default();
        let mut last = LastEvent::new(100);
        assert_eq!(chain.at(&mut last, 4000).await, None);
        // Another node has it.
        chain.events.push(("old", 120));
        assert_eq!(chain.at(&mut last, 4001).await, None);
        assert_eq!(chain.at(&mut last, 4299).await, None);
        assert_eq!(chain.at(&mut last, 4300).await, Some("old"));
        let searched = [(100, 4000), (3936, 4001), (3937, 4299), (100, 4300)];
        assert_eq!(*chain.searched.borrow(), searched, "a search of everything is rare");
    }

    #[tokio::test]
    async fn an_event_that_a_reorganisation_undid_is_not_kept() {
        let mut chain = Chain {
            events: vec![("old", 120), ("undone", 4995)],
            ..Chain::default()
        };
        let mut last = LastEvent::new(100);
        assert_eq!(chain.at(&mut last, 5000).await, Some("undone"));
        chain.events.pop();
        assert_eq!(chain.at(&mut last, 5001).await, Some("old"));
        chain.events.push(("another", 4998));
        assert_eq!(chain.at(&mut last, 5002).await, Some("another"));
        chain.events.push(("replacement", 4999));
        assert_eq!(chain.at(&mut last, 5003).await, Some("replacement"));
    }

    #[tokio::test]
    async fn a_node_that_is_behind_the_event_does_not_have_it() {
        let chain = Chain {
            events: vec![("old", 120), ("new", 5000)],
            ..Chain::default()
        };
        let mut last = LastEvent::new(100);
        assert_eq!(chain.at(&mut last, 5001).await, Some("new"));
        assert_eq!(chain.at(&mut last, 4990).await, Some("old"));
        assert_eq!(chain.at(&mut last, 10).await, None);
        assert_eq!(chain.at(&mut last, 5002).await, Some("new"));
    }
}
