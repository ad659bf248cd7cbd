//! What `doctor` can find, each under a name that stays the same: scripts and `docs/troubleshooting.md` go by it.

/// Makes the enum, its names and the list of all from one table, so that none can be forgotten.
macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// A finding's name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code {
            $($(#[$doc])* $variant,)*
        }

        impl Code {
            /// All of them.
            #[cfg(test)]
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// As JSON and people read it.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

codes! {
    // Ways that are open.
    /// A compositor, or `serve`, offers a headset.
    Offered = "offered",
    /// A card that nobody drives has a headset.
    Ready = "ready",
    /// It needs nothing.
    Always = "always",

    // Cards.
    NoCard = "no-card",
    NoRights = "no-rights",
    NotOpened = "not-opened",
    NoModeSetting = "no-mode-setting",
    NvidiaModesetOff = "nvidia-modeset-off",
    NoAtomic = "no-atomic",
    Held = "held",

    // Connectors and headsets.
    NoHeadset = "no-headset",
    DisplayMissing = "display-missing",
    EdidWedged = "edid-wedged",
    NonDesktopUnset = "non-desktop-unset",
    LinkBad = "link-bad",
    NoModes = "no-modes",
    NoFreeCrtc = "no-free-crtc",
    Leased = "leased",

    // Window systems.
    NoRuntimeDir = "no-runtime-dir",
    NoSocket = "no-socket",
    SocketNotPermitted = "socket-not-permitted",
    SocketDead = "socket-dead",
    NoLeasing = "no-leasing",
    NothingOffered = "nothing-offered",
    NotPermitted = "not-permitted",
    NoAnswer = "no-answer",
    ConnectionBroke = "connection-broke",
    NoDisplay = "no-display",
    RemoteDisplay = "remote-display",
    NoServer = "no-server",

    // Vulkan.
    NoVulkanLoader = "no-vulkan-loader",
    NoVulkanDriver = "no-vulkan-driver",
    VulkanTooOld = "vulkan-too-old",
    VulkanFailed = "vulkan-failed",
    VulkanOnCpu = "vulkan-on-cpu",
    VulkanExtensions = "vulkan-extensions",
    QueuePriority = "queue-priority",

    // Threads.
    RealtimeRefused = "realtime-refused",
    MemoryLockRefused = "memory-lock-refused",
}

impl serde::Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_code_has_its_section_and_every_section_its_code() {
        let text = include_str!("../../../docs/troubleshooting.md");
        let sections: Vec<&str> =
            text.lines().filter_map(|line| line.strip_prefix("### `")?.strip_suffix('`')).collect();
        let codes: BTreeSet<&str> = Code::ALL.iter().map(|code| code.name()).collect();
        assert_eq!(sections.iter().copied().collect::<BTreeSet<_>>(), codes);
        assert_eq!((sections.len(), Code::ALL.len()), (codes.len(), codes.len()), "one is there twice");
        for section in text.split("### `").skip(1) {
            let (name, body) = section.split_once('\n').unwrap();
            assert!(body.split("\n## ").next().unwrap().trim().len() > 40, "{name} says nothing");
        }
    }

    #[test]
    fn names_are_lower_case_words() {
        for name in Code::ALL.iter().map(|code| code.name()) {
            assert!(name.bytes().all(|byte| byte == b'-' || byte.is_ascii_lowercase()), "{name}");
        }
    }
}
