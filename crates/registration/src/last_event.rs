//! The latest event of a kind, without searching the whole chain for it each time.

use sw_chain_client::ExecutionError;

/// What was found, and how far was searched. Blocks that a reorganisation may have replaced are searched again.
#[derive(Debug, Clone)]
pub(crate) struct LastEvent<E> {
    first_block: u64,
    found: Option<(E, u64)>,
    searched: Option<u64>,
}

/// Blocks: two epochs, after which they are final in usual times.
const REORG_MARGIN: u64 = 64;

impl<E> LastEvent<E> {
    /// Nothing was searched; no event lies before `first_block`.
    pub(crate) fn new(first_block: u64) -> Self {
        Self {
            first_block,
            found: None,
            searched: None,
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
        let resume = self
            .searched
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
    }

    async fn everywhere<F>(
        &mut self,
        head: u64,
        search: impl Fn(u64, u64) -> F,
    ) -> Result<Option<&(E, u64)>, ExecutionError>
    where
        F: Future<Output = Result<Option<(E, u64)>, ExecutionError>>,
    {
        self.found = search(self.first_block.min(head), head).await?;
        self.searched = Some(head);
        Ok(self.found.as_ref())
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
