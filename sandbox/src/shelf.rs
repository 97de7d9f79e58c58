//! A bounded store in order of arrival: the oldest items make room for new ones.

use std::collections::{HashMap, VecDeque};

#[derive(Debug)]
pub(crate) struct Shelf<T> {
    items: VecDeque<(String, Option<T>)>,
    /// Places count from the first item ever stored.
    places: HashMap<String, usize>,
    dropped: usize,
    max: usize,
}

impl<T> Shelf<T> {
    pub(crate) fn new(max: usize) -> Shelf<T> {
        Shelf {
            items: VecDeque::new(),
            places: HashMap::new(),
            dropped: 0,
            max: max.max(1),
        }
    }

    pub(crate) fn push(&mut self, id: String, item: T) {
        if self.items.len() >= self.max
            && let Some((oldest, _)) = self.items.pop_front()
        {
            // Unless the same id was stored again since.
            if self.places.get(&oldest) == Some(&self.dropped) {
                self.places.remove(&oldest);
            }
            self.dropped = self.dropped.saturating_add(1);
        }
        self.places
            .insert(id.clone(), self.dropped.saturating_add(self.items.len()));
        self.items.push_back((id, Some(item)));
    }

    pub(crate) fn find(&self, id: &str) -> Option<&T> {
        self.items.get(self.index_of(id)?)?.1.as_ref()
    }

    pub(crate) fn find_mut(&mut self, id: &str) -> Option<&mut T> {
        let index = self.index_of(id)?;
        self.items.get_mut(index)?.1.as_mut()
    }

    /// Takes the item away. Its place stays known, so that a list can go on after it.
    pub(crate) fn remove(&mut self, id: &str) -> Option<T> {
        let index = self.index_of(id)?;
        self.items.get_mut(index)?.1.take()
    }

    /// Where `id` stands or stood; grows with every item.
    pub(crate) fn index_of(&self, id: &str) -> Option<usize> {
        self.places.get(id)?.checked_sub(self.dropped)
    }

    /// With their index, oldest first.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = (usize, &T)> {
        self.items
            .iter()
            .enumerate()
            .filter_map(|(index, (_, item))| Some((index, item.as_ref()?)))
    }

    /// Of the items that are there, oldest first.
    pub(crate) fn ids(&self) -> Vec<String> {
        let kept = self.items.iter().filter(|(_, item)| item.is_some());
        kept.map(|(id, _)| id.clone()).collect()
    }

    pub(crate) fn clear(&mut self) {
        *self = Shelf::new(self.max);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_item_makes_room_and_the_others_are_still_found() {
        let mut shelf = Shelf::new(2);
        for id in ["a", "b", "c"] {
            shelf.push(id.to_owned(), id);
        }
        assert_eq!(shelf.find("a"), None);
        assert_eq!(shelf.find("b"), Some(&"b"));
        assert_eq!(shelf.find("c"), Some(&"c"));
        assert_eq!(
            shelf.iter().map(|(_, item)| *item).collect::<Vec<_>>(),
            ["b", "c"]
        );
    }

    #[test]
    fn a_removed_item_keeps_its_place() {
        let mut shelf = Shelf::new(9);
        for id in ["a", "b", "c"] {
            shelf.push(id.to_owned(), id);
        }
        assert_eq!(shelf.remove("b"), Some("b"));
        assert_eq!(shelf.find("b"), None);
        assert_eq!(shelf.index_of("b"), Some(1));
    }
}
