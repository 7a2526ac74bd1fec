//! Access control lists (RFC 4314).

use super::MailboxName;

/// A command about rights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AclCommand {
    /// SETACL
    Set {
        /// On which mailbox.
        mailbox: MailboxName,
        /// Whose rights.
        identifier: String,
        /// How they change.
        mode: RightsMode,
        /// Letters of rights; whether there are such rights is for the handler to say.
        rights: String,
    },
    /// DELETEACL
    Delete {
        /// On which mailbox.
        mailbox: MailboxName,
        /// Whose rights.
        identifier: String,
    },
    /// GETACL
    Get(MailboxName),
    /// LISTRIGHTS
    List {
        /// On which mailbox.
        mailbox: MailboxName,
        /// For whom.
        identifier: String,
    },
    /// MYRIGHTS
    My(MailboxName),
}

impl AclCommand {
    /// The command's name.
    pub fn name(&self) -> &'static str {
        match self {
            AclCommand::Set { .. } => "SETACL",
            AclCommand::Delete { .. } => "DELETEACL",
            AclCommand::Get(_) => "GETACL",
            AclCommand::List { .. } => "LISTRIGHTS",
            AclCommand::My(_) => "MYRIGHTS",
        }
    }
}

/// How SETACL changes rights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RightsMode {
    /// These and no others.
    Replace,
    /// `+`: these too.
    Add,
    /// `-`: not these.
    Remove,
}

/// What the server says about rights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AclData {
    /// ACL: identifiers with their rights.
    Acl {
        /// On which mailbox.
        mailbox: MailboxName,
        /// Identifier and rights.
        entries: Vec<(String, String)>,
    },
    /// LISTRIGHTS
    ListRights {
        /// On which mailbox.
        mailbox: MailboxName,
        /// For whom, as the client wrote it.
        identifier: String,
        /// What is always granted.
        required: String,
        /// What can be granted; rights in one string only together.
        optional: Vec<String>,
    },
    /// MYRIGHTS
    MyRights {
        /// On which mailbox.
        mailbox: MailboxName,
        /// The rights.
        rights: String,
    },
}
