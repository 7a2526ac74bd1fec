//! Housekeeping: giving back the room of deleted messages; dropping records whose time is over; forgetting what vanished
//! long ago.
//!
//! A pack of which less than half lives is emptied: what lives is copied behind the newest messages, the rows follow, the file
//! goes. At every moment each row refers to a body that is there: copies are synced before rows point to them (the writer does
//! that), and the old file goes only when no row points into it. A crash in between leaves a copy too many, nothing less.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use crate::engine::values;
use crate::error::{Error, Result};
use crate::schema;
use crate::store::Store;
use crate::types::BodyRef;

/// A body that has not been placed after this many seconds never is: its session is long gone.
const PLACED_WITHIN: i64 = 3_600;
/// For so many seconds after a migration nothing is moved: the snapshot from before it still says where bodies are.
const SNAPSHOT_KEPT: i64 = 7 * 86_400;
/// Bodies whose rows are moved in one write.
const AT_ONCE: usize = 256;

impl Store {
    /// Housekeeping: copies mostly dead packs and drops them. Call now and then (hourly, and when the disk is full). Returns
    /// octets given back. For a week after a migration it does nothing unless space is short, so that one can go back.
    pub fn maintain(&self) -> Result<u64> {
        let _alone = self
            .inner
            .maintenance
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        self.expire();
        self.forget_expunged()?;
        let now = self.inner.options.clock.now();
        if !self.inner.reserve.low() && self.migrated_since(now.saturating_sub(SNAPSHOT_KEPT))? {
            return Ok(0);
        }
        let settled: BTreeMap<u32, u64> = self
            .inner
            .packs
            .settled(now.saturating_sub(PLACED_WITHIN))?
            .into_iter()
            .collect();
        let mut live: BTreeMap<u32, u64> = settled.keys().map(|number| (*number, 0)).collect();
        self.read(|snapshot| {
            snapshot.bodies_in(.., &mut |body, _| {
                if let Some(octets) = live.get_mut(&body.pack) {
                    *octets += body.length;
                }
                Ok(())
            })
        })?;
        let mut freed = 0;
        for (number, length) in settled {
            let live = live.get(&number).copied().unwrap_or(0);
            if live >= length.saturating_sub(live) {
                continue;
            }
            match self.empty_pack(number) {
                Ok(()) => freed += length.saturating_sub(live),
                Err(error) => {
                    self.inner.packs.set_closing(number, false);
                    tracing::warn!(pack = number, %error, "a pack could not be emptied and stays");
                    if matches!(error, Error::Full | Error::Closed | Error::Io(_)) {
                        return Err(error);
                    }
                }
            }
        }
        Ok(freed)
    }

    /// Drops what has a time that is over. What fails is tried again the next time: giving back room matters more.
    fn expire(&self) {
        loop {
            match self.write(|tx| Ok(tx.expire_decisions()?.saturating_add(tx.expire_greylist()?)))
            {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) => return tracing::warn!(%error, "expired records could not be dropped"),
            }
        }
    }

    fn migrated_since(&self, since: i64) -> Result<bool> {
        for entry in std::fs::read_dir(self.inner.folder.join("snapshots"))? {
            let name = entry?.file_name();
            let taken = name.to_str().and_then(schema::snapshot_time);
            if taken.is_some_and(|taken| taken > since) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn empty_pack(&self, number: u32) -> Result<()> {
        // On the writer's thread, so that whatever was placed in the pack before is committed, and nothing is afterwards.
        let packs = self.inner.packs.clone();
        self.write(move |_| {
            packs.set_closing(number, true);
            Ok(())
        })?;
        let mut bodies: Vec<BodyRef> = Vec::new();
        self.read(|snapshot| {
            snapshot.bodies_in(number..=number, &mut |body, _| {
                bodies.push(body);
                Ok(())
            })
        })?;
        for some in bodies.chunks(AT_ONCE) {
            let now = self.inner.options.clock.now();
            let moved = some
                .iter()
                .map(|body| Ok((*body, self.inner.packs.copy(body, now)?)));
            let moved: Vec<(BodyRef, BodyRef)> = moved.collect::<Result<_>>()?;
            self.write(move |tx| {
                for (old, new) in &moved {
                    if !tx.packs.placeable(new) {
                        return Err(Error::Io("a copied body was lost".into()));
                    }
                    // A row that is gone by now stays gone.
                    tx.sql.execute(
                        "UPDATE body SET pack = $3, position = $4, length = $5 WHERE body_id = $1 AND pack = $2",
                        values![old.id, old.pack, new.pack, new.offset, new.length],
                    )?;
                }
                Ok(())
            })?;
        }
        let mut left = 0u64;
        self.read(|snapshot| {
            snapshot.bodies_in(number..=number, &mut |_, _| {
                left += 1;
                Ok(())
            })
        })?;
        if left > 0 {
            return Err(Error::Internal(format!("{left} bodies stayed in the pack")));
        }
        self.inner.packs.remove(number)
    }
}
