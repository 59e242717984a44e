//! Files whose atoms move, and files of normal modes, as other programs write them.

use cei_data::{
    ColumnRef, LoadedPositions, MotionOptions, MotionUnit, PositionUnit, PositionsError, Source,
    load_positions, read_molden,
};
use cei_physics::units::{BOHR_ANGSTROM, ELECTRON_MASSES_PER_U, HARTREE_EV};
use cei_physics::{AtomSpec, Isotopes, Molecule};

use crate::{Folder, ocs};

const BOHR: PositionUnit = PositionUnit::Bohr;

fn load(
    folder: &Folder,
    name: &str,
    content: &str,
    molecule: &Molecule,
    motion: &MotionOptions,
) -> Result<LoadedPositions, PositionsError> {
    folder.write(name, content);
    load_positions(&Source::file(folder.text(name)), molecule, &BOHR, motion)
}

fn in_unit(text: &str) -> MotionOptions {
    MotionOptions { unit: Some(text.parse().unwrap()), ..MotionOptions::default() }
}

/// Written by ASE 3.29 of atoms with `set_momenta([[1, 0, 0], [0, 2, 0], [0, 0, -0.5]])`, whose kinetic energy it gives as
/// `p^2 / 2 m` in eV with masses in u.
const ASE: &str = "3\nProperties=species:S:1:pos:R:3:momenta:R:3 pbc=\"F F F\"\n\
    C        0.00000000       0.00000000       0.00000000       1.00000000       0.00000000       0.00000000\n\
    O        1.16000000       0.00000000       0.00000000       0.00000000       2.00000000       0.00000000\n\
    S       -1.56000000       0.00000000       0.00000000       0.00000000       0.00000000      -0.50000000\n";

#[test]
fn momenta_of_ase_are_in_its_unit() {
    let folder = Folder::new();
    let loaded = load(&folder, "a.xyz", ASE, &ocs(), &MotionOptions::default()).unwrap();
    let momenta = loaded.momenta.unwrap();
    let unit = (ELECTRON_MASSES_PER_U / HARTREE_EV).sqrt();
    for (place, expected) in [(0, unit), (4, 2.0 * unit), (8, -0.5 * unit), (1, 0.0)] {
        assert!((momenta[[0, place]] - expected).abs() < 1e-9, "{place}");
    }
    let energy: f64 = 1.0 / (2.0 * 12.011) + 4.0 / (2.0 * 15.999) + 0.25 / (2.0 * 32.06);
    let [remark] = &loaded.remarks[..] else { panic!("{:?}", loaded.remarks) };
    assert!(remark.contains("`momenta`, taken as momenta in sqrt(u eV);"), "{remark}");
    assert!(remark.contains(&format!("{energy:.4} eV")), "{remark}");
    let whole = unit * 5.25_f64.sqrt();
    assert!(remark.contains(&format!("as a whole, by up to {whole:.2} a.u.")), "{remark}");
}

#[test]
fn units_of_velocities_are_said_or_guessed_aloud() {
    let folder = Folder::new();
    let angstrom_per_fs = "angstrom/fs".parse::<MotionUnit>().unwrap();
    for name in ["velo", "vel", "velocities", "Velocity"] {
        let text = ASE.replace("momenta", name);
        let loaded = load(&folder, "v.xyz", &text, &ocs(), &MotionOptions::default()).unwrap();
        let expected = angstrom_per_fs.momentum(ocs().masses()[0]);
        let momenta = loaded.momenta.unwrap();
        assert!((momenta[[0, 0]] / expected - 1.0).abs() < 1e-12);
        let remark = loaded.remarks.concat();
        assert!(
            remark.contains(&format!("`{name}`, taken as velocities in angstrom/fs")),
            "{remark}"
        );
        assert!(remark.contains("the unit is a guess, `--motion-unit`"), "{remark}");
        // A unit that is said is no guess; velocities can be said to be momenta.
        let loaded = load(&folder, "v.xyz", &text, &ocs(), &in_unit("au")).unwrap();
        assert_eq!(loaded.momenta.unwrap()[[0, 4]].to_bits(), 2.0_f64.to_bits());
        assert!(!loaded.remarks.concat().contains("guess"));
        let at_rest = MotionOptions { at_rest: true, ..MotionOptions::default() };
        let loaded = load(&folder, "v.xyz", &text, &ocs(), &at_rest).unwrap();
        assert!(loaded.momenta.is_none() && loaded.remarks.is_empty());
    }
    // Three cells behind a position without `Properties`: motion only if their unit is said.
    let plain = ASE.replace("Properties=species:S:1:pos:R:3:momenta:R:3 pbc=\"F F F\"", "");
    let loaded = load(&folder, "p.xyz", &plain, &ocs(), &MotionOptions::default()).unwrap();
    assert!(loaded.momenta.is_none() && loaded.remarks[0].contains("3 further cells"));
    let loaded = load(&folder, "p.xyz", &plain, &ocs(), &in_unit("bohr/au")).unwrap();
    assert_eq!(loaded.momenta.unwrap()[[0, 0]].to_bits(), ocs().masses()[0].to_bits());
    let still = plain.replace("       0.00000000       0.00000000\n", "\n");
    let error = load(&folder, "p.xyz", &still, &ocs(), &in_unit("au")).unwrap_err().to_string();
    assert!(error.contains("has no velocities or momenta"), "{error}");
    let mixed = format!("{ASE}{plain}");
    let error = load(&folder, "m.xyz", &mixed, &ocs(), &MotionOptions::default()).unwrap_err();
    let error = error.to_string();
    assert!(error.contains("frame 2") && error.contains("first frame has `momenta`"), "{error}");
    let named = MotionOptions { columns: vec![ColumnRef::Index(3)], ..MotionOptions::default() };
    let error = load(&folder, "a.xyz", ASE, &ocs(), &named).unwrap_err().to_string();
    assert!(error.contains("has no columns"), "{error}");
}

#[test]
fn tables_have_initial_momenta_in_columns() {
    let folder = Folder::new();
    let molecule = Molecule::new(vec![AtomSpec::new("H", 1.0), AtomSpec::new("D", 1.0)]).unwrap();
    let table = "hx,hy,hz,dx,dy,dz,initial_phx,initial_phy,initial_phz,initial_pdx,initial_pdy,initial_pdz,vhx,vhy,vhz,vdx,vdy,vdz\n\
                 0,0,0,1.4,0,0,1,2,3,-1,-2,-3,0.1,0.2,0.3,0.4,0.5,0.6\n";
    let loaded = load(&folder, "t.csv", table, &molecule, &MotionOptions::default()).unwrap();
    assert_eq!(loaded.momenta.unwrap().row(0).to_vec(), [1.0, 2.0, 3.0, -1.0, -2.0, -3.0]);
    assert!(
        loaded.remarks[0].contains("`initial_phx`, ..., taken as momenta in au"),
        "{:?}",
        loaded.remarks
    );
    let others: Vec<&str> = loaded.further.columns.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(others, ["vhx", "vhy", "vhz", "vdx", "vdy", "vdz"]);

    let columns: Vec<ColumnRef> = (12..18).map(ColumnRef::Index).collect();
    let unit = Some("2 bohr/au".parse().unwrap());
    let named = MotionOptions { columns: columns.clone(), unit, at_rest: false };
    let loaded = load(&folder, "t.csv", table, &molecule, &named).unwrap();
    let momenta = loaded.momenta.unwrap();
    let expected = 2.0 * 0.6 * molecule.masses()[1];
    assert!((momenta[[0, 5]] / expected - 1.0).abs() < 1e-14);
    let error = |options: &MotionOptions| {
        load(&folder, "t.csv", table, &molecule, options).unwrap_err().to_string()
    };
    let unknown = MotionOptions { columns: columns.clone(), ..MotionOptions::default() };
    assert!(error(&unknown).contains("hint: say it by `--motion-unit`"));
    let few = MotionOptions { columns: columns[..4].to_vec(), ..named };
    assert!(error(&few).contains("4 columns, the molecule's 2 atoms need 6"));
    let without = "hx,hy,hz,dx,dy,dz\n0,0,0,1.4,0,0\n";
    let loaded = load(&folder, "t.csv", without, &molecule, &MotionOptions::default()).unwrap();
    assert!(loaded.momenta.is_none());
    let error = load(&folder, "t.csv", without, &molecule, &in_unit("au")).unwrap_err().to_string();
    assert!(error.contains("name them by `--motion-columns`"), "{error}");
}

/// The layout of SHARC 2 to 4.
const SHARC: &str = "SHARC Initial conditions file, version 2.1
Ninit     2
Natom     3
Repr      None
Temp            0.0000000000
Eref            0.0000000000
Eharm           0.0045118970

Equilibrium
 C   6.0   0.00000000   0.00000000   0.00000000  12.00000000   0.00000000   0.00000000   0.00000000
 O   8.0   2.19000000   0.00000000   0.00000000  15.99491464   0.00000000   0.00000000   0.00000000
 S  16.0  -2.95000000   0.00000000   0.00000000  31.97207117   0.00000000   0.00000000   0.00000000


Index     1
Atoms
 C   6.0   0.01000000   0.00000000   0.00000000  12.00000000   0.00020000   0.00000000   0.00000000
 O   8.0   2.20000000   0.00000000   0.00000000  15.99491464   0.00000000   0.00010000   0.00000000
 S  16.0  -2.96000000   0.00000000   0.00000000  31.97207117   0.00000000   0.00000000  -0.00005000
States
Ekin        0.001000000000 a.u.
Epot_harm   0.001000000000 a.u.


Index     2
Atoms
 C   6.0   0.02000000   0.00000000   0.00000000  12.00000000   0.00030000   0.00000000   0.00000000
 O   8.0   2.21000000   0.00000000   0.00000000  15.99491464   0.00000000   0.00000000   0.00000000
 S  16.0  -2.97000000   0.00000000   0.00000000  31.97207117   0.00000000   0.00000000   0.00000000
States
Ekin        0.001000000000 a.u.
";

#[test]
fn initial_conditions_of_sharc() {
    let folder = Folder::new();
    let atoms = ["C", "O", "S"].map(|element| AtomSpec::new(element, 2.0)).to_vec();
    let molecule = Molecule::with_isotopes(atoms, Isotopes::Commonest).unwrap();
    let loaded = load(&folder, "initconds", SHARC, &molecule, &MotionOptions::default()).unwrap();
    assert_eq!(loaded.positions.column(3).to_vec(), [2.20, 2.21]);
    let momenta = loaded.momenta.unwrap();
    assert!((momenta[[0, 0]] - 2e-4 * 12.0 * ELECTRON_MASSES_PER_U).abs() < 1e-9);
    assert!((momenta[[0, 8]] + 5e-5 * 31.972_071_174 * ELECTRON_MASSES_PER_U).abs() < 1e-6);
    let remark = loaded.remarks.concat();
    assert!(remark.contains("velocities in bohr/au") && !remark.contains("guess"), "{remark}");
    // Mean atomic weights are other masses: that counts, and is said.
    let loaded = load(&folder, "initconds", SHARC, &ocs(), &MotionOptions::default()).unwrap();
    assert!(loaded.remarks[0].contains("atom `S` has 31.97207117 u there"), "{:?}", loaded.remarks);
    let error = |text: &str| {
        load(&folder, "initconds", text, &molecule, &MotionOptions::default())
            .unwrap_err()
            .to_string()
    };
    let cut = SHARC.split("Index     2").next().unwrap();
    assert!(error(cut).contains("holds 1 initial conditions, but says that there are 2"));
    let broken = SHARC.replace("   2.21000000", "   ********");
    assert!(error(&broken).contains("line 28: ` O   8.0   ********"), "{}", error(&broken));
    assert!(error(&SHARC.replace(" O ", " N ")).contains("the molecule has C O S"));
}

/// The example of the manual of CP2K, whose velocities are Newton-X's.
const NEWTON_X: &str = " Initial condition =     1
 Geometry in COLUMBUS and NX input format:
 o     8.0    5.00630777    5.00000001    4.46399957   15.99491464
 h     1.0    6.37684065    5.00000128    5.50815661    1.00782504
 h     1.0    3.52303474    5.00000149    5.58297278    1.00782504
 Velocity in NX input format:
   -0.000089112    0.000000000   -0.000020915
    0.000417197    0.000000002    0.000694479
    0.000997296    0.000000013   -0.000362483
 Epot of initial state (eV):    0.0865  Epot of final state (eV):     19.0799
 Ekin of initial state (eV):    0.0479  Etot of initial state (eV):    0.1343
 Oscillator strength:           0.1221
";

/// Newton-X prints the kinetic energy: 0.0479 eV.
#[test]
fn initial_conditions_of_newton_x() {
    let folder = Folder::new();
    let atoms = ["O", "H", "H"].map(|element| AtomSpec::new(element, 1.0)).to_vec();
    let molecule = Molecule::with_isotopes(atoms, Isotopes::Commonest).unwrap();
    let two = NEWTON_X.repeat(2);
    let loaded = load(&folder, "final_output", &two, &molecule, &MotionOptions::default()).unwrap();
    assert_eq!(loaded.positions.dim(), (2, 9));
    assert_eq!(loaded.positions[[1, 3]].to_bits(), 6.376_840_65_f64.to_bits());
    let momenta = loaded.momenta.unwrap();
    let terms = momenta.row(0).to_vec();
    let energy: f64 =
        terms.iter().enumerate().map(|(c, p)| p * p / (2.0 * molecule.masses()[c / 3])).sum();
    assert!((energy * HARTREE_EV - 0.0479).abs() < 5e-5, "{}", energy * HARTREE_EV);
    assert!(loaded.remarks.concat().contains("0.0479 eV on average"), "{:?}", loaded.remarks);
}

/// OCS, displacements normalised as by Gaussian, Turbomole and ORCA.
const MOLDEN: &str = "[Molden Format]
[N_FREQ]
4
[FREQ]
   520.00
   520.00
   859.00
  2062.00
[FR-COORD]
C    0.000000    0.000000    0.000000
O    0.000000    0.000000   -2.187925
S    0.000000    0.000000    2.948162
[FR-NORM-COORD]
vibration 1
  0.000000 -0.908709  0.000000
  0.000000  0.391330  0.000000
  0.000000  0.145290  0.000000
 Vibration      2
 -0.908709  0.000000  0.000000
  0.391330  0.000000  0.000000
  0.145290  0.000000  0.000000
vibration 3
  0.000000  0.000000  0.459562
  0.000000  0.000000  0.713203
  0.000000  0.000000 -0.529286
vibration 4
  0.000000  0.000000  0.856743
  0.000000  0.000000 -0.511549
  0.000000  0.000000 -0.065643
[INT]
  1.0
  1.0
  4.0
  100.0
";

#[test]
fn normal_modes_of_molden_files() {
    let folder = Folder::new();
    let read = |text: &str| {
        folder.write("a.molden", text);
        read_molden(&folder.path("a.molden"), &ocs())
    };
    let modes = read(MOLDEN).unwrap();
    assert_eq!(modes.frequencies_cm1, [520.0, 520.0, 859.0, 2062.0]);
    assert!((modes.positions_angstrom[1][2] + 1.1578).abs() < 1e-6);
    assert_eq!(modes.displacements[3][1], [0.0, 0.0, -0.511_549]);
    // Angstrom in `[FR-COORD]`, as some programs write, is told from `[Atoms]`, from the head, or from bonds that are too short.
    let angstrom = MOLDEN.replace("-2.187925", "-1.157800").replace("2.948162", "1.560100");
    let error = read(&angstrom).unwrap_err().to_string();
    assert!(error.contains("1.158 bohr apart") && error.contains("are these angstrom?"), "{error}");
    let atoms =
        "[Atoms] Angs\nC 1 6 0.0 0.0 0.0\nO 2 8 0.0 0.0 -1.1578\nS 3 16 0.0 0.0 1.5601\n[FREQ]";
    for text in [
        angstrom.replace("[FREQ]", atoms),
        angstrom.replace("[FR-COORD]", "[FR-COORD] Angs"),
        MOLDEN.replace("[FREQ]", atoms),
    ] {
        let found = read(&text).unwrap().positions_angstrom[1][2];
        assert!((found + 1.1578).abs() < 1e-6, "{found}");
    }
    // Molden itself writes so of an output of Gaussian: positions in the orientation of the input, vectors in that of
    // `[Atoms]`.
    let turned = MOLDEN
        .replace("0.000000   -2.187925", "-2.187925    0.000000")
        .replace("0.000000    2.948162", "2.948162    0.000000")
        .replace("[FREQ]", atoms);
    let error = read(&turned).unwrap_err().to_string();
    assert!(error.contains("another orientation"), "{error}");
    assert!(error.contains("hint: remove the section `[FR-COORD]`"), "{error}");
    let (before, after) = turned.split_once("[FR-COORD]").unwrap();
    let rest = after.split_once("[FR-NORM-COORD]").unwrap().1;
    let found = read(&format!("{before}[FR-NORM-COORD]{rest}")).unwrap().positions_angstrom;
    assert!((found[1][2] + 1.1578).abs() < 1e-12);
    // Columbus closes with words of its own.
    let closed = MOLDEN.split("[INT]").next().unwrap().to_owned() + " --> end of molden input\n";
    assert_eq!(read(&closed).unwrap(), read(MOLDEN).unwrap());
    let error = |text: &str| read(text).unwrap_err().to_string();
    assert!(error(&MOLDEN.replace("[FREQ]", "[FREK]")).contains("no section `[FREQ]`"));
    assert!(error(&MOLDEN.replace("[FR-COORD]", "[GEO]")).contains("no section `[FR-COORD]`"));
    assert!(error(&MOLDEN.replace("  2062.00\n", "")).contains("3 frequencies"));
    let short = MOLDEN.replace("  0.000000  0.000000 -0.065643\n", "");
    assert!(error(&short).contains("vibration 4 of `[FR-NORM-COORD]` moves 2 atoms"));
    assert!(error(&MOLDEN.replace("   859.00", "   i859")).contains("line 7, `   i859`"));
    assert!(error(&MOLDEN.replace("\nS ", "\nSe ")).contains("the molecule has C O S"));
    let positions = read(MOLDEN).unwrap().positions_angstrom;
    assert!((positions[2][2] - 2.948_162 * BOHR_ANGSTROM).abs() < 1e-12);
}
