//! Which pieces of a download are held, under way, or still to be asked for, and which of them to ask for next.

use fixedbitset::FixedBitSet;
use peerbed_contract::{Object, PieceOrder, Pieces};
use rand::{RngExt, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

/// A piece that is not in the list of open ones.
const NOWHERE: u32 = u32::MAX;
/// How many open pieces are looked at for the rarest one. Among more, the rarest of a random run of so many is taken.
const LOOK_AT: usize = 1024;

/// The pieces of one download.
#[derive(Debug)]
pub(super) struct Board {
    held: FixedBitSet,
    held_bytes: u64,
    /// Requests under way for each piece.
    under_way: Vec<u8>,
    /// Connected peers that offer each piece.
    offered: Vec<u16>,
    /// Connected peers that are fetching each piece from an edge.
    fetched: Vec<u16>,
    /// Pieces that are neither held nor under way, in no order.
    open: Vec<u32>,
    /// Where each piece stands in `open`.
    place: Vec<u32>,
    /// How often a piece came back into `open`.
    reopened: u64,
    /// Requests under way beyond the first for their piece.
    doubled: usize,
    rules: Pieces,
}

impl Board {
    /// All pieces open, in an order drawn from `rng`.
    pub(super) fn new(pieces: u32, rng: &mut ChaCha8Rng) -> Self {
        let mut open: Vec<u32> = (0..pieces).collect();
        open.shuffle(rng);
        let mut place = vec![NOWHERE; pieces as usize];
        for (at, &piece) in open.iter().enumerate() {
            place[piece as usize] = at as u32;
        }
        Self {
            held: FixedBitSet::with_capacity(pieces as usize),
            held_bytes: 0,
            under_way: vec![0; pieces as usize],
            offered: vec![0; pieces as usize],
            fetched: vec![0; pieces as usize],
            open,
            place,
            reopened: 0,
            doubled: 0,
            rules: Pieces::default(),
        }
    }

    /// With these rules.
    pub(super) fn by(self, rules: Pieces) -> Self {
        Self { rules, ..self }
    }

    /// Whether the piece is held.
    pub(super) fn holds(&self, piece: u32) -> bool {
        self.held.contains(piece as usize)
    }

    /// Whether every piece is held.
    pub(super) fn is_complete(&self) -> bool {
        self.held.is_full()
    }

    /// Bytes of the held pieces.
    pub(super) fn held_bytes(&self) -> u64 {
        self.held_bytes
    }

    /// Whether the piece is neither held nor under way.
    pub(super) fn is_open(&self, piece: u32) -> bool {
        self.place[piece as usize] != NOWHERE
    }

    /// How often a piece became open again: a source without an open piece has none as long as this and its offers stay.
    pub(super) fn reopened(&self) -> u64 {
        self.reopened
    }

    /// Requests under way beyond the first for their piece.
    pub(super) fn doubled(&self) -> usize {
        self.doubled
    }

    /// Whether every missing piece is under way.
    pub(super) fn all_asked(&self) -> bool {
        self.open.is_empty()
    }

    /// Requests under way for the piece.
    pub(super) fn under_way(&self, piece: u32) -> u8 {
        self.under_way[piece as usize]
    }

    /// Whether the piece may be asked for once more while it is under way.
    pub(super) fn may_double(&self, piece: u32) -> bool {
        self.under_way(piece) < self.rules.duplicates
    }

    /// A request for the piece went out.
    pub(super) fn asked(&mut self, piece: u32) {
        let count = &mut self.under_way[piece as usize];
        self.doubled += usize::from(*count > 0);
        *count = count.saturating_add(1);
        self.close(piece);
    }

    /// A request for the piece is over, or no longer counted on.
    pub(super) fn given_up(&mut self, piece: u32) {
        let count = &mut self.under_way[piece as usize];
        self.doubled -= usize::from(*count > 1);
        *count = count.saturating_sub(1);
        if *count == 0 && !self.held.contains(piece as usize) && self.place[piece as usize] == NOWHERE {
            self.place[piece as usize] = self.open.len() as u32;
            self.open.push(piece);
            self.reopened += 1;
        }
    }

    /// The piece was verified.
    pub(super) fn got(&mut self, piece: u32, bytes: u32) {
        if !self.held.put(piece as usize) {
            self.held_bytes += u64::from(bytes);
        }
        self.close(piece);
    }

    /// A peer that offers `pieces` came.
    pub(super) fn offers_came(&mut self, pieces: &FixedBitSet) {
        for piece in pieces.ones() {
            self.offered[piece] = self.offered[piece].saturating_add(1);
        }
    }

    /// A peer offers one piece more.
    pub(super) fn offer_came(&mut self, piece: u32) {
        self.offered[piece as usize] = self.offered[piece as usize].saturating_add(1);
    }

    /// A peer is fetching a piece from an edge.
    pub(super) fn fetch_began(&mut self, piece: u32) {
        self.fetched[piece as usize] = self.fetched[piece as usize].saturating_add(1);
    }

    /// A peer that was fetching a piece has it now, or is gone.
    pub(super) fn fetch_ended(&mut self, piece: u32) {
        self.fetched[piece as usize] = self.fetched[piece as usize].saturating_sub(1);
    }

    /// A peer that offered `pieces` went.
    pub(super) fn offers_went(&mut self, pieces: &FixedBitSet) {
        for piece in pieces.ones() {
            self.offered[piece] = self.offered[piece].saturating_sub(1);
        }
    }

    /// The open piece that comes next and `suits`: the rarest (or as the rules say), ties broken at random; rare counts connected peers, as an edge has everything.
    pub(super) fn pick(&self, rng: &mut ChaCha8Rng, suits: impl Fn(u32) -> bool) -> Option<u32> {
        self.pick_by(rng, suits, |piece| self.offered[piece])
    }

    /// The open piece to ask an edge for: the rarest, where peers that are fetching it count as if they had it already.
    pub(super) fn pick_for_edge(&self, rng: &mut ChaCha8Rng) -> Option<u32> {
        self.pick_by(rng, |_| true, |piece| self.offered[piece].saturating_add(self.fetched[piece]))
    }

    fn pick_by(&self, rng: &mut ChaCha8Rng, suits: impl Fn(u32) -> bool, rarity: impl Fn(usize) -> u16) -> Option<u32> {
        if self.open.is_empty() {
            return None;
        }
        let start = rng.random_range(0..self.open.len());
        let order = self.rules.order;
        let look_at = if order == PieceOrder::InOrder { usize::MAX } else { LOOK_AT };
        let mut best: Option<(u32, u32)> = None;
        for (looked, &piece) in self.open[start..].iter().chain(&self.open[..start]).enumerate() {
            if looked >= look_at && best.is_some() {
                break;
            }
            let rarity = match order {
                PieceOrder::Rarest => u32::from(rarity(piece as usize)),
                PieceOrder::Random => 0,
                PieceOrder::InOrder => piece,
            };
            if best.is_none_or(|(rarest, _)| rarity < rarest) && suits(piece) {
                best = Some((rarity, piece));
                if rarity == 0 {
                    break;
                }
            }
        }
        best.map(|(_, piece)| piece)
    }

    fn close(&mut self, piece: u32) {
        let at = self.place[piece as usize];
        if at == NOWHERE {
            return;
        }
        self.open.swap_remove(at as usize);
        if let Some(&moved) = self.open.get(at as usize) {
            self.place[moved as usize] = at;
        }
        self.place[piece as usize] = NOWHERE;
    }
}

/// A bit set over an object's pieces.
pub(super) fn pieces_of(object: &Object) -> FixedBitSet {
    FixedBitSet::with_capacity(object.piece_count() as usize)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn the_rarest_is_picked_first() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let mut board = Board::new(100, &mut rng);
        let mut common = FixedBitSet::with_capacity(100);
        common.set_range(.., true);
        common.set(17, false);
        board.offers_came(&common);
        board.offer_came(17);
        board.offer_came(42);
        board.offers_came(&common);
        assert_eq!(board.pick(&mut rng, |_| true), Some(17));
        board.asked(17);
        assert_ne!(board.pick(&mut rng, |_| true), Some(42));
    }

    #[test]
    fn ties_are_broken_at_random() {
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let board = Board::new(64, &mut rng);
        let picked: std::collections::BTreeSet<_> = (0..64).filter_map(|_| board.pick(&mut rng, |_| true)).collect();
        assert!(picked.len() > 20, "{picked:?}");
    }

    proptest! {
        /// Whatever happens to pieces, the open list is exactly the pieces neither held nor under way.
        #[test]
        fn open_is_what_is_neither_held_nor_under_way(acts in proptest::collection::vec((0_u32..20, 0_u8..3), 0..200)) {
            let mut rng = ChaCha8Rng::seed_from_u64(5);
            let mut board = Board::new(20, &mut rng);
            let (mut under_way, mut held) = ([0_u32; 20], [false; 20]);
            for (piece, act) in acts {
                let at = piece as usize;
                match act {
                    0 => { board.asked(piece); under_way[at] += 1; }
                    1 if under_way[at] > 0 => { board.given_up(piece); under_way[at] -= 1; }
                    1 => {}
                    _ => { board.got(piece, 10); held[at] = true; }
                }
                let expected: Vec<u32> = (0..20).filter(|&p| under_way[p as usize] == 0 && !held[p as usize]).collect();
                let mut open = board.open.clone();
                open.sort_unstable();
                // A held piece that was given up must not come back, one under way must not be open.
                prop_assert_eq!(open, expected);
                prop_assert_eq!(board.held_bytes(), 10 * held.iter().filter(|h| **h).count() as u64);
            }
        }
    }

    #[test]
    fn the_rules_say_which_piece_comes_next() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let all = (0..8).collect::<FixedBitSet>();
        let mut rare = all.clone();
        rare.remove(5);
        let mut picked = |order| {
            let mut board = Board::new(8, &mut rng).by(Pieces { order, ..Pieces::default() });
            board.offers_came(&all);
            board.offers_came(&rare);
            let mut next = || {
                let piece = board.pick(&mut rng, |piece| piece != 0).unwrap();
                board.asked(piece);
                piece
            };
            [next(), next(), next()]
        };
        assert_eq!(picked(PieceOrder::InOrder), [1, 2, 3]);
        assert!((0..20).all(|_| picked(PieceOrder::Rarest)[0] == 5));
        assert!((0..40).any(|_| picked(PieceOrder::Random)[0] != 5));
    }

    #[test]
    fn copies_under_way_are_bounded_by_the_rules() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        for (duplicates, may) in [(1, [false, false]), (2, [true, false])] {
            let mut board = Board::new(1, &mut rng).by(Pieces { duplicates, ..Pieces::default() });
            let seen = [(); 2].map(|()| {
                board.asked(0);
                board.may_double(0)
            });
            assert_eq!(seen, may, "{duplicates}");
        }
    }
}
