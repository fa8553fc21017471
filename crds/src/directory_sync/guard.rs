//! The guard of a DirectorySync: limits by count, share and floor for each class of risky operation, and the approvals.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rule;

/// Limits on risky operations.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Guard {
    /// Deleting users and groups. Default: `{max: 500, percent: 10, floor: 5}`.
    #[serde(default)]
    pub deletions: ObjectLimit,
    /// Disabling users. Default: `{max: 500, percent: 10, floor: 5}`.
    #[serde(default)]
    pub disables: ObjectLimit,
    /// Removing members from a group, counted within each group. Default: `{max: 5000, percent: 20, floor: 10}`.
    #[serde(default)]
    pub membership_removals: MembershipLimit,
    /// Digests of the holds to let through, copied from `status.holds`. An approval lets exactly the operations of that hold through, never one more;
    /// it may stay here afterwards. At most 64. Example: `[sha256:9c1f...]` with all 64 digits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 71)))]
    #[x_kube(merge_strategy = ListMerge::Set, validation = rule::hold_digests())]
    pub approved: Vec<String>,
}

/// When operations on objects are held: `n > floor` and (`n > max` or `n` above `percent` of the managed objects of the class), or all of
/// them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ObjectLimit {
    /// Most operations of this class in one cycle. Default: 500; from 0 to 1000000.
    #[serde(default = "ObjectLimit::default_max")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub max: i32,
    /// Largest share of the managed objects of the class, in percent. Default: 10; from 0 to 100.
    #[serde(default = "ObjectLimit::default_percent")]
    #[schemars(range(min = 0, max = 100))]
    pub percent: i32,
    /// This many are never held, whatever their share, so that small directories can work. Default: 5; from 0 to 1000000.
    #[serde(default = "ObjectLimit::default_floor")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub floor: i32,
}

impl ObjectLimit {
    fn default_max() -> i32 {
        500
    }

    fn default_percent() -> i32 {
        10
    }

    fn default_floor() -> i32 {
        5
    }
}

impl Default for ObjectLimit {
    fn default() -> Self {
        Self {
            max: Self::default_max(),
            percent: Self::default_percent(),
            floor: Self::default_floor(),
        }
    }
}

/// When removals of members are held, counted within each group: `n > floor` and (`n > max` or `n` above `percent` of its members), or all
/// of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MembershipLimit {
    /// Most removals in one cycle. Default: 5000; from 0 to 1000000.
    #[serde(default = "MembershipLimit::default_max")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub max: i32,
    /// Largest share of the members of one group, in percent. Default: 20; from 0 to 100.
    #[serde(default = "MembershipLimit::default_percent")]
    #[schemars(range(min = 0, max = 100))]
    pub percent: i32,
    /// This many are never held, whatever their share. Default: 10; from 0 to 1000000.
    #[serde(default = "MembershipLimit::default_floor")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub floor: i32,
}

impl MembershipLimit {
    fn default_max() -> i32 {
        5000
    }

    fn default_percent() -> i32 {
        20
    }

    fn default_floor() -> i32 {
        10
    }
}

impl Default for MembershipLimit {
    fn default() -> Self {
        Self {
            max: Self::default_max(),
            percent: Self::default_percent(),
            floor: Self::default_floor(),
        }
    }
}
