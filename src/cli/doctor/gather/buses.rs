//! What hangs on the buses, and how NVIDIA's module was loaded.

use super::super::facts::Gpu;
use super::tree::Tree;

/// The headsets that say on the USB what they are, by vendor and product, as their drivers in Monado and OpenHMD know
/// them. Some have a number for each of their parts.
const USB_HEADSETS: [(&str, &str, &str); 8] = [
    ("0bb4", "2c87", "HTC Vive"),
    ("0bb4", "0309", "HTC Vive Pro"),
    ("28de", "2000", "HTC Vive"),
    ("28de", "2300", "Valve Index or HTC Vive Pro"),
    ("2833", "0021", "Oculus Rift DK2"),
    ("2833", "0031", "Oculus Rift CV1"),
    ("045e", "0659", "Windows Mixed Reality headset"),
    ("054c", "09af", "Sony PlayStation VR"),
];

/// The display controllers on the PCI bus.
pub fn gpus(tree: &Tree) -> Vec<Gpu> {
    const BUS: &str = "sys/bus/pci/devices";
    let gpu = |address: String| {
        let read = |file: &str| tree.read(format!("{BUS}/{address}/{file}"));
        // The base class of display controllers, PCI Code and ID Assignment Specification.
        read("class")?.strip_prefix("0x03")?;
        let hex = |file| Some(read(file)?.trim_start_matches("0x").to_string());
        let id = format!("{}:{}", hex("vendor")?, hex("device")?);
        let driver = tree.link(format!("{BUS}/{address}/driver"));
        let driver = driver.and_then(|link| Some(link.file_name()?.to_string_lossy().into_owned()));
        Some(Gpu { address, id, driver })
    };
    tree.names(BUS).into_iter().filter_map(gpu).collect()
}

/// How `nvidia-drm` was loaded. Only root may read it (`module_param_named(modeset, ..., 0400)` in the driver).
pub fn nvidia_modeset(tree: &Tree) -> Option<bool> {
    match tree.read("sys/module/nvidia_drm/parameters/modeset")?.as_str() {
        "Y" | "1" => Some(true),
        "N" | "0" => Some(false),
        _ => None,
    }
}

/// The headsets whose USB part is plugged in, each once.
pub fn usb_headsets(tree: &Tree) -> Vec<&'static str> {
    const BUS: &str = "sys/bus/usb/devices";
    let known = |device: String| {
        let read = |file: &str| tree.read(format!("{BUS}/{device}/{file}"));
        let (vendor, product) = (read("idVendor")?, read("idProduct")?);
        let found = USB_HEADSETS.iter().find(|known| (known.0, known.1) == (&vendor, &product))?;
        Some(found.2)
    };
    let mut found: Vec<&str> = tree.names(BUS).into_iter().filter_map(known).collect();
    found.sort_unstable();
    found.dedup();
    found
}

#[cfg(test)]
pub(super) mod tests {
    use std::os::unix::fs::symlink;

    use tempfile::TempDir;

    use super::*;

    /// A tree with these files.
    pub fn tree(files: &[(&str, &str)]) -> (TempDir, Tree) {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let tree = Tree::at(folder.path());
        (folder, tree)
    }

    #[test]
    fn a_gpu_without_its_driver_is_seen() {
        let (folder, tree) = tree(&[
            ("sys/bus/pci/devices/0000:00:1f.0/class", "0x060100\n"),
            ("sys/bus/pci/devices/0000:01:00.0/class", "0x030000\n"),
            ("sys/bus/pci/devices/0000:01:00.0/vendor", "0x10de\n"),
            ("sys/bus/pci/devices/0000:01:00.0/device", "0x2204\n"),
        ]);
        let gpu = Gpu { address: "0000:01:00.0".into(), id: "10de:2204".into(), driver: None };
        assert_eq!(gpus(&tree), std::slice::from_ref(&gpu));
        let device = folder.path().join("sys/bus/pci/devices/0000:01:00.0");
        symlink("../../../../bus/pci/drivers/vfio-pci", device.join("driver")).unwrap();
        assert_eq!(gpus(&tree), [Gpu { driver: Some("vfio-pci".into()), ..gpu }]);
    }

    #[test]
    fn nvidias_switch_is_read() {
        for (text, switch) in [("N\n", Some(false)), ("Y\n", Some(true)), ("?", None)] {
            let (_folder, tree) = tree(&[("sys/module/nvidia_drm/parameters/modeset", text)]);
            assert_eq!(nvidia_modeset(&tree), switch);
        }
        assert_eq!(nvidia_modeset(&tree(&[]).1), None);
    }

    #[test]
    fn a_headset_is_known_by_its_usb_part() {
        let (_folder, tree) = tree(&[
            ("sys/bus/usb/devices/1-1/idVendor", "0bb4\n"),
            ("sys/bus/usb/devices/1-1/idProduct", "2c87\n"),
            ("sys/bus/usb/devices/1-2/idVendor", "28de\n"),
            ("sys/bus/usb/devices/1-2/idProduct", "2000\n"),
            ("sys/bus/usb/devices/1-3/idVendor", "046d\n"),
            ("sys/bus/usb/devices/1-3/idProduct", "c31c\n"),
            ("sys/bus/usb/devices/1-1:1.0/bInterfaceClass", "03\n"),
        ]);
        assert_eq!(usb_headsets(&tree), ["HTC Vive"]);
    }
}
