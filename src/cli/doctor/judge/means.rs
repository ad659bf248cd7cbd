//! Judges what a headset is to be driven with: Vulkan and the scheduler.

use super::super::code::Code;
use super::super::facts::{Facts, Limits, VulkanFacts};
use super::super::finding::{Finding, Severity};
use crate::thread::priority::Refusal;
use crate::vulkan::VulkanError;

/// What is wrong with them.
pub fn judge(facts: &Facts) -> Vec<Finding> {
    let vulkan = match &facts.vulkan {
        Ok(device) => judge_device(device),
        Err(error) => vec![no_device(error)],
    };
    vulkan.into_iter().chain(judge_limits(&facts.limits)).collect()
}

fn no_device(error: &VulkanError) -> Finding {
    let (code, why, remedy) = match error {
        VulkanError::NoLoader(cause) => (
            Code::NoVulkanLoader,
            format!("there is no Vulkan loader (libvulkan.so.1): {cause}"),
            "install libvulkan1".to_string(),
        ),
        VulkanError::NoDriver => (
            Code::NoVulkanDriver,
            "there is no Vulkan driver, so no picture can be made".to_string(),
            "install your GPU's (mesa-vulkan-drivers has most), and see that VK_DRIVER_FILES and VK_ICD_FILENAMES, \
             where they are set, name one that is there"
                .to_string(),
        ),
        VulkanError::Unsupported { device, feature, remedy } => {
            (Code::VulkanTooOld, format!("{device} lacks {feature}"), remedy.to_string())
        }
        other => (
            Code::VulkanFailed,
            format!("Vulkan failed: {other}"),
            "see what 'vulkaninfo' says, and update the driver".to_string(),
        ),
    };
    Finding::error(code, "vulkan", why, remedy)
}

fn judge_device(facts: &VulkanFacts) -> Vec<Finding> {
    let VulkanFacts { device, is_cpu, lacks, draws_on_dma_bufs, queue_priority } = facts;
    let finding = |code, severity, why: String, remedy: &str| {
        Finding::error(code, device.clone(), why, remedy).of(severity)
    };
    // A CPU's own slowness hides the rest.
    let unless_cpu = |severity| if *is_cpu { Severity::Note } else { severity };
    let mut findings = Vec::new();
    if *is_cpu {
        findings.push(finding(
            Code::VulkanOnCpu,
            Severity::Warning,
            format!("{device} is no GPU but a program on the CPU: it is too slow for a headset of full size"),
            "install the GPU's Vulkan driver, and see that this user may open /dev/dri/renderD128",
        ));
    }
    if !lacks.is_empty() {
        let cost = match draws_on_dma_bufs {
            true => "pictures still go to the screen without a copy where the layouts fit",
            false => "each picture goes through CPU memory",
        };
        let severity = if *draws_on_dma_bufs { Severity::Note } else { unless_cpu(Severity::Warning) };
        let why = format!("{device} lacks {}: {cost}", lacks.join(", "));
        findings.push(finding(Code::VulkanExtensions, severity, why, "update its driver"));
    }
    let queue =
        |severity, why: String, remedy| finding(Code::QueuePriority, unless_cpu(severity), why, remedy);
    match *queue_priority {
        "realtime" => {}
        "unknown" => findings.push(queue(
            Severity::Note,
            format!("{device} knows no queue priorities (VK_KHR_global_priority): other programs' work goes as first"),
            "update its driver; until then keep other programs from loading the GPU",
        )),
        granted => findings.push(queue(
            Severity::Warning,
            format!("{device} refused a queue of realtime priority and gave one of {granted}"),
            "give the program CAP_SYS_NICE ('setcap cap_sys_nice+ep', or AmbientCapabilities in its unit)",
        )),
    }
    findings
}

fn judge_limits(limits: &Limits) -> Vec<Finding> {
    let Limits { wanted_priority, priority_limit, .. } = *limits;
    let mut findings = Vec::new();
    if let Err(Refusal { errno, rtkit }) = &limits.realtime {
        let (why, remedy) = if priority_limit < wanted_priority {
            (
                format!(
                    "this user may go up to priority {priority_limit} (RLIMIT_RTPRIO), and {wanted_priority} is needed"
                ),
                format!(
                    "allow it with 'USER - rtprio {wanted_priority}' in /etc/security/limits.d and log in again, or with \
                     LimitRTPRIO={wanted_priority} in the service"
                ),
            )
        } else {
            (
                "RLIMIT_RTPRIO allows it, so a container, a seccomp filter or the CPU control group forbids it".to_string(),
                "run it outside, or give its control group real-time run time (cpu.rt_runtime_us)".to_string(),
            )
        };
        let why = format!("real-time scheduling was refused ({}): {why}; {rtkit}", errno.desc());
        findings.push(Finding::error(Code::RealtimeRefused, "scheduler", why, remedy).of(Severity::Warning));
    }
    if let Some(bytes) = limits.lock_limit_bytes.filter(|&bytes| bytes < limits.process_bytes) {
        const MIB: u64 = 1 << 20;
        findings.push(
            Finding::error(
                Code::MemoryLockRefused,
                "memory",
                format!(
                    "this user may lock {} MiB of memory (RLIMIT_MEMLOCK), and a run with this GPU's driver takes \
                     more than {}: page faults will cost frames",
                    bytes / MIB,
                    limits.process_bytes / MIB
                ),
                "allow it with 'USER - memlock unlimited' in /etc/security/limits.d and log in again, or with \
                 LimitMEMLOCK=infinity in the service",
            )
            .of(Severity::Warning),
        );
    }
    findings
}
