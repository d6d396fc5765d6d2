//! A first-in first-out queue of fixed size, without allocation.

/// Up to `N` small values; what does not fit comes back to the caller.
#[derive(Debug, Clone)]
pub struct Bounded<T, const N: usize> {
    slots: [Option<T>; N],
    first: usize,
    len: usize,
}

impl<T: Copy, const N: usize> Default for Bounded<T, N> {
    fn default() -> Self {
        Self { slots: [None; N], first: 0, len: 0 }
    }
}

impl<T: Copy, const N: usize> Bounded<T, N> {
    /// Appends a value; `false` when the queue is full.
    pub fn push(&mut self, value: T) -> bool {
        if self.len == N {
            return false;
        }
        if let Some(slot) = self.slots.get_mut((self.first + self.len) % N) {
            *slot = Some(value);
        }
        self.len += 1;
        true
    }

    /// Takes the oldest value.
    pub fn pop(&mut self) -> Option<T> {
        let value = self.slots.get_mut(self.first)?.take()?;
        self.first = (self.first + 1) % N;
        self.len -= 1;
        Some(value)
    }

    /// The values, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = T> + '_ {
        (0..self.len).filter_map(|i| self.slots.get((self.first + i) % N).copied().flatten())
    }

    /// Drops the values that are not wanted, keeping the order of the others.
    pub fn retain(&mut self, mut wanted: impl FnMut(T) -> bool) {
        for _ in 0..self.len {
            if let Some(value) = self.pop()
                && wanted(value)
            {
                self.push(value);
            }
        }
    }

    /// How many values wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether none wait.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    proptest! {
        #[test]
        fn behaves_like_a_deque_of_limited_size(steps in prop::collection::vec(0_u8..8, 0..200)) {
            let mut ours = Bounded::<u8, 5>::default();
            let mut model = VecDeque::new();
            for (i, step) in steps.into_iter().enumerate() {
                let value = u8::try_from(i).unwrap();
                match step {
                    0..=3 => {
                        let fits = model.len() < 5;
                        prop_assert_eq!(ours.push(value), fits);
                        if fits {
                            model.push_back(value);
                        }
                    }
                    4..=6 => prop_assert_eq!(ours.pop(), model.pop_front()),
                    _ => {
                        ours.retain(|v| v % 3 != 0);
                        model.retain(|v| v % 3 != 0);
                    }
                }
                prop_assert_eq!(ours.iter().collect::<Vec<_>>(), Vec::from(model.clone()));
                prop_assert_eq!((ours.len(), ours.is_empty()), (model.len(), model.is_empty()));
            }
        }
    }
}
