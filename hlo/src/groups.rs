//! Groups of devices that communicate: `replica_groups` and what else a collective says of them.

use crate::attribute::AttributeValue;
use crate::module::{Instruction, Module};

/// `replica_groups`, as far as sizes and members are stated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Groups {
    /// No list: all devices are one group.
    All,
    /// `{{0,1},{2,3}}`.
    Listed(Vec<Vec<i64>>),
    /// `[2,4]<=[8]`: so many groups of so many devices, which name each device once.
    Tiled { groups: i64, size: i64 },
    /// Axes of a mesh, whose devices are not spelled out.
    Mesh,
}

impl Groups {
    /// The groups of a collective.
    pub(crate) fn of(instruction: &Instruction) -> Groups {
        match instruction.attribute("replica_groups") {
            Some(AttributeValue::IntegerLists(groups)) if groups.is_empty() => Groups::All,
            Some(AttributeValue::IntegerLists(groups)) => Groups::Listed(groups.clone()),
            Some(AttributeValue::Raw(text)) => Groups::parse(text),
            _ => Groups::All,
        }
    }

    fn parse(text: &str) -> Groups {
        let text = text.trim();
        if let Some(inner) = text.strip_prefix('{').and_then(|t| t.strip_suffix('}')) {
            let inner = inner.trim();
            if inner.is_empty() {
                return Groups::All;
            }
            let members = |group: &str| {
                let group = group.trim_matches([',', ' ', '{']);
                let numbers = group.split(',').filter(|n| !n.trim().is_empty());
                numbers.map(|n| n.trim().parse().ok()).collect()
            };
            let groups = inner.strip_suffix('}').unwrap_or(inner).split('}');
            let listed: Option<Vec<Vec<i64>>> = groups.map(members).collect();
            return listed.map_or(Groups::Mesh, Groups::Listed);
        }
        let tiles = text.strip_prefix('[').and_then(|t| t.split_once(']'));
        let tiles = tiles.and_then(|(tiles, _)| tiles.split_once(','));
        let number = |text: &str| text.trim().parse().ok();
        match tiles.map(|(groups, size)| (number(groups), number(size))) {
            Some((Some(groups), Some(size))) => Groups::Tiled { groups, size },
            _ => Groups::Mesh,
        }
    }

    /// Whether every device is alone.
    pub(crate) fn are_single(&self) -> bool {
        match self {
            Groups::Listed(groups) => groups.iter().all(|group| group.len() == 1),
            Groups::Tiled { size, .. } => *size == 1,
            Groups::All | Groups::Mesh => false,
        }
    }
}

/// `replica_count` and `num_partitions` of a module, 1 where they are not stated.
pub(crate) fn devices(module: &Module) -> (i64, i64) {
    let count = |name: &str| {
        let attribute = module.attributes.iter().find(|a| a.name == name);
        match attribute.map(|a| &a.value) {
            Some(AttributeValue::Integer(count)) => *count,
            _ => 1,
        }
    };
    (count("replica_count"), count("num_partitions"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_notations_of_groups_are_told_apart() {
        assert_eq!(Groups::parse("{}"), Groups::All);
        assert_eq!(
            Groups::parse("{{0,1},{2}}"),
            Groups::Listed(vec![vec![0, 1], vec![2]])
        );
        assert_eq!(
            Groups::parse("{{0},{}}"),
            Groups::Listed(vec![vec![0], vec![]])
        );
        let tiled = Groups::Tiled { groups: 2, size: 4 };
        assert_eq!(Groups::parse("[2,4]<=[4,2]T(1,0)"), tiled);
        assert_eq!(Groups::parse("mesh['a'=2] {'a'}"), Groups::Mesh);
    }
}
