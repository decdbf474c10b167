//! Rules of the protocol that a test may break, to see that the simulation, or the fault suite, notices.
//!
//! Outside of tests and of the feature `fail-points` no code path looks at these: [`Mutation::None`] is the only value that a program ever has.

/// A rule to break.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Mutation {
    /// Keep every rule.
    #[default]
    None,
    /// After a PUT without an answer, look; if the object is absent, build another entry with more rows.
    RebuildAfterNoAnswer,
    /// An entry is mine if my process wrote it: the id is drawn once for a process, not for each build.
    IdOfTheWriter,
    /// An entry that is absent when it is loaded after "already there" counts as somebody else's.
    AbsentIsConflict,
    /// Delete the own entry at a conflict or a handover without an answer.
    DeleteAtConflict,
    /// Collect on the word of an entry that no later listing has confirmed.
    CollectUnchecked,
    /// Collect what only listed closes need.
    CollectWithoutCloses,
    /// Collect entry 1.
    CollectTheFirst,
    /// Collect what only waiting late rows need.
    CollectWithoutLate,
    /// Publish on the word of an entry that no later listing has confirmed.
    PublishUnchecked,
    /// Count a listing that was begun before the entry was created as its confirmation.
    CheckByOlderListing,
    /// The key of an entry names the chain too.
    ChainInKey,
    /// Drop the lane at a conflict although it is still assigned.
    DropAtConflict,
    /// Name files by the newest entry instead of the closing one.
    NameByNewestEntry,
    /// Late rows in the closing entry itself stay waiting after their close.
    LateOfTheClosingEntryTwice,
    /// Publish without looking for the receipt.
    PublishDespiteReceipt,
    /// The receipt describes what this process built, not what the store holds.
    ReceiptOfTheBuild,
    /// Files are made by today's settings, not by the close's recipe.
    RecipeOfToday,
    /// Assemble from entries by number alone.
    IgnoreEntryIds,
    /// A finished publication is nothing to say.
    PublicationIsNothingToSay,
    /// An idle lane does not flush its late rows.
    IdleKeepsLate,
    /// Our own older commit stops the lane.
    OlderCommitStops,
    /// Forget that a foreign offset was accepted.
    ForgetAcceptedOffset,
    /// Report closed-through from an entry that no later listing has confirmed, and above closes that it lists.
    MarkUnchecked,
    /// Entries are put unconditionally.
    OverwriteEntries,
    /// Publish a close before the entry that decides it is there.
    PublishBeforeAppend,
    /// Forget the watermark at a restart.
    ForgetWatermark,
}
