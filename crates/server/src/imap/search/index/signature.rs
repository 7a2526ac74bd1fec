//! Signatures: which groups of three octets are in the folded text of a message.
//!
//! A set of bits, one for each hash of a group; a needle can be in the text only if the bits of all its groups are set.
//! Octets of UTF-8 rather than characters or words: any script, any substring. The number of bits follows that of
//! different groups, a power of two of which at most [`FULL`] in a hundred are set, so that a signature takes some 3 bits
//! per group, about a twentieth of the text, and each group of a needle leaves at most every third text that lacks it.
//!
//! Hashes are not keyed: who sends texts that share bits makes his own messages be looked at in vain, within the budget of
//! every search, and nothing else.

/// Set bits in a hundred that halving may lead to.
const FULL: u64 = 35;

/// Least and most bits, as powers of two: 64 octets and 512 KiB.
const LEAST: u32 = 9;
const MOST: u32 = 22;

/// Groups of a needle that are looked up; enough for any text to be told from any other.
const PROBES: usize = 48;

/// A signature being made.
pub struct Builder {
    bits: Vec<u64>,
    log2: u32,
}

impl Builder {
    /// For texts of so many octets in all.
    pub fn new(octets: usize) -> Builder {
        let log2 = (octets.max(1) as u64)
            .saturating_mul(4)
            .ilog2()
            .clamp(LEAST, MOST);
        Builder {
            bits: vec![0; 1 << (log2 - 6)],
            log2,
        }
    }

    /// Adds a folded text.
    pub fn add(&mut self, folded: &[u8]) {
        let shift = 32 - self.log2;
        let Some((head, rest)) = folded.split_first_chunk::<2>() else {
            return;
        };
        let mut group = u32::from(head[0]) << 8 | u32::from(head[1]);
        for octet in rest {
            group = (group << 8 | u32::from(*octet)) & 0x00ff_ffff;
            let bit = hash(group) >> shift;
            if let Some(word) = self.bits.get_mut((bit >> 6) as usize) {
                *word |= 1 << (bit & 63);
            }
        }
    }

    /// The signature: the number of bits as a power of two, and the bits.
    pub fn finish(mut self) -> (u8, Vec<u8>) {
        while self.log2 > LEAST {
            let set: u64 = self
                .bits
                .iter()
                .map(|word| u64::from(word.count_ones()))
                .sum();
            let half = 1u64 << (self.log2 - 1);
            if set.saturating_mul(100) > half.saturating_mul(FULL) {
                break;
            }
            // The hash's highest bits are the place, so two neighbours become one.
            let halved = self.bits.chunks(2).map(|pair| {
                pair.iter()
                    .rev()
                    .fold(0u64, |joined, word| joined << 32 | u64::from(join(*word)))
            });
            self.bits = halved.collect();
            self.log2 -= 1;
        }
        let octets = self.bits.iter().flat_map(|word| word.to_le_bytes());
        (self.log2 as u8, octets.collect())
    }
}

/// Each two bits as one that says whether any is set.
fn join(word: u64) -> u32 {
    let mut bits = (word | word >> 1) & 0x5555_5555_5555_5555;
    for (shift, mask) in [
        (1, 0x3333_3333_3333_3333),
        (2, 0x0f0f_0f0f_0f0f_0f0f),
        (4, 0x00ff_00ff_00ff_00ff),
        (8, 0x0000_ffff_0000_ffff),
        (16, 0x0000_0000_ffff_ffff),
    ] {
        bits = (bits | bits >> shift) & mask;
    }
    bits as u32
}

fn hash(group: u32) -> u32 {
    // Fibonacci hashing, mixed once before, because neighbours in an alphabet differ in their last octet only.
    let mixed = group ^ group >> 11;
    mixed.wrapping_mul(0x9e37_79b1)
}

/// The groups of a needle.
#[derive(Debug)]
pub struct Probe {
    hashes: Vec<u32>,
}

impl Probe {
    /// For a folded needle; `None` if it is too short to say anything.
    pub fn new(folded: &[u8]) -> Option<Probe> {
        let mut hashes: Vec<u32> = folded
            .windows(3)
            .map(|group| {
                group
                    .iter()
                    .fold(0, |all, octet| all << 8 | u32::from(*octet))
            })
            .map(hash)
            .take(PROBES * 4)
            .collect();
        hashes.sort_unstable();
        hashes.dedup();
        hashes.truncate(PROBES);
        (!hashes.is_empty()).then_some(Probe { hashes })
    }

    /// Whether a text with this signature may contain the needle.
    pub fn may_be_in(&self, log2: u8, bits: &[u8]) -> bool {
        let shift = 32u32.saturating_sub(u32::from(log2));
        self.hashes.iter().all(|hash| {
            let bit = hash.checked_shr(shift).unwrap_or(0);
            // A signature that is cut short says nothing.
            bits.get((bit >> 3) as usize)
                .is_none_or(|octet| octet >> (bit & 7) & 1 == 1)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signature(text: &str) -> (u8, Vec<u8>) {
        let mut builder = Builder::new(text.len());
        builder.add(text.as_bytes());
        builder.finish()
    }

    #[test]
    fn nothing_that_is_there_is_ruled_out() {
        let words: Vec<String> = (0..3000).map(|n| format!("WORD{}X", n * 7919)).collect();
        for count in [1, 10, 100, 3000] {
            let text = words[..count].join(" ");
            let (log2, bits) = signature(&text);
            assert_eq!(bits.len(), 1 << (log2 - 3));
            for word in words.iter().take(count) {
                let probe = Probe::new(word.as_bytes()).unwrap();
                assert!(probe.may_be_in(log2, &bits), "{word}");
            }
            let strangers = [
                "ZANZIBAR",
                "QWERTZUIOP",
                "\u{441}\u{43b}\u{43e}\u{432}\u{43e}",
            ];
            for stranger in strangers {
                let probe = Probe::new(stranger.as_bytes()).unwrap();
                assert!(!probe.may_be_in(log2, &bits), "{stranger}");
            }
        }
        assert!(Probe::new(b"AB").is_none());
    }

    #[test]
    fn halving_keeps_each_bit() {
        let mut builder = Builder::new(1 << 16);
        builder.add(b"A FEW GROUPS OF OCTETS");
        let large = builder.bits.len();
        let (log2, bits) = builder.finish();
        assert!(log2 == 9 && bits.len() == 64 && large > 64);
        let probe = Probe::new(b"GROUPS OF").unwrap();
        assert!(probe.may_be_in(log2, &bits));
        assert!(!Probe::new(b"ELEPHANT").unwrap().may_be_in(log2, &bits));
    }
}
