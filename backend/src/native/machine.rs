//! What the CPU is: its vector units and its caches.

use std::sync::OnceLock;

/// Vector instructions that kernels are compiled for; each later one includes the earlier ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Isa {
    /// What every CPU of the architecture has (SSE2, NEON): loops that the compiler vectorises.
    Portable,
    /// AVX2 with what every CPU that has it has too: F16C, FMA, BMI1 and BMI2.
    Avx2,
    /// AVX-512 F, BW, DQ and VL.
    Avx512,
}

impl Isa {
    /// All of them.
    pub const ALL: [Isa; 3] = [Isa::Portable, Isa::Avx2, Isa::Avx512];

    /// Name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Isa::Portable => "portable",
            Isa::Avx2 => "avx2",
            Isa::Avx512 => "avx512",
        }
    }

    /// Whether this CPU has it.
    #[cfg(target_arch = "x86_64")]
    pub fn is_available(self) -> bool {
        match self {
            Isa::Portable => true,
            Isa::Avx2 => {
                std::arch::is_x86_feature_detected!("avx2")
                    && std::arch::is_x86_feature_detected!("f16c")
                    && std::arch::is_x86_feature_detected!("fma")
                    && std::arch::is_x86_feature_detected!("bmi1")
                    && std::arch::is_x86_feature_detected!("bmi2")
            }
            Isa::Avx512 => {
                Isa::Avx2.is_available()
                    && std::arch::is_x86_feature_detected!("avx512f")
                    && std::arch::is_x86_feature_detected!("avx512bw")
                    && std::arch::is_x86_feature_detected!("avx512dq")
                    && std::arch::is_x86_feature_detected!("avx512vl")
            }
        }
    }

    /// Whether this CPU has it.
    #[cfg(not(target_arch = "x86_64"))]
    pub fn is_available(self) -> bool {
        self == Isa::Portable
    }

    /// Those that this CPU has.
    pub fn available() -> impl Iterator<Item = Isa> {
        Isa::ALL.into_iter().filter(|isa| isa.is_available())
    }

    /// The widest that this CPU has.
    pub fn best() -> Isa {
        static BEST: OnceLock<Isa> = OnceLock::new();
        *BEST.get_or_init(|| Isa::available().last().unwrap_or(Isa::Portable))
    }
}

/// Which cache of a core has room for many lines that are on their way from memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misses {
    /// The first, for as many as the second.
    First,
    /// The second, for more than the first.
    Second,
}

impl Misses {
    /// Those of this machine, as the bench `native` finds them with `--plans`: the first cache of Zen 3, the second of Zen 4 and Zen 5. Cores
    /// are told apart by whether they have AVX-512.
    pub fn get() -> Misses {
        match Isa::best() {
            Isa::Avx512 => Misses::Second,
            Isa::Avx2 | Isa::Portable => Misses::First,
        }
    }
}

/// Sizes of the data caches that one core reaches, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caches {
    /// First level.
    pub l1: usize,
    /// Second level.
    pub l2: usize,
    /// Last level.
    pub last: usize,
}

impl Caches {
    /// Those of this machine, as Linux tells them; common sizes elsewhere.
    pub fn get() -> Caches {
        static CACHES: OnceLock<Caches> = OnceLock::new();
        *CACHES.get_or_init(|| {
            let l1 = level(1).unwrap_or(32 << 10);
            let l2 = level(2).unwrap_or(1 << 20).max(l1);
            let last = level(3).unwrap_or(16 << 20).max(l2);
            Caches { l1, l2, last }
        })
    }
}

/// Size of the data or unified cache of a level.
fn level(wanted: u32) -> Option<usize> {
    (0..8).find_map(|index| {
        let file = |name: &str| {
            let path = format!("/sys/devices/system/cpu/cpu0/cache/index{index}/{name}");
            std::fs::read_to_string(path).ok()
        };
        let level: u32 = file("level")?.trim().parse().ok()?;
        if level != wanted || file("type")?.trim() == "Instruction" {
            return None;
        }
        let size = file("size")?;
        let size = size.trim();
        let (digits, unit) = match size.strip_suffix('K') {
            Some(digits) => (digits, 1 << 10),
            None => match size.strip_suffix('M') {
                Some(digits) => (digits, 1 << 20),
                None => (size, 1),
            },
        };
        digits.parse::<usize>().ok()?.checked_mul(unit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_is_available_and_caches_grow() {
        assert!(Isa::best().is_available());
        let caches = Caches::get();
        assert!(0 < caches.l1 && caches.l1 <= caches.l2 && caches.l2 <= caches.last);
    }
}
