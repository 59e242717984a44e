//! What `inspect` finds in tables made by hand.

use cei_data::inspect::Role;
use cei_data::{ColumnRef, InspectOptions, inspect};
use cei_physics::energy::kinetic_energy_release;
use cei_physics::units::HARTREE_EV;

use crate::{Folder, ocs};

const HEADER: &str = "event,cx,cy,cz,ox,oy,oz,sx,sy,sz,pcx,pcy,pcz,pox,poy,poz,psx,psy,psz\n";

/// C at (a,0,0), O at (0,b,0), S at (5,0,0); momenta that add up to zero, those along z are zero.
fn rows(count: usize) -> String {
    (0..count)
        .map(|row| {
            let (a, b) = ((row as f64).sin(), 2.0 + (1.3 * row as f64).cos());
            let (p, q) = (100.0 * b, 50.0 + 10.0 * a);
            format!("{row},{a},0,0,0,{b},0,5,0,0,{p},{q},0,{},{q},0,-50,{},0\n", 50.0 - p, -2.0 * q)
        })
        .collect()
}

#[test]
fn a_clean_table_is_described() {
    let folder = Folder::new();
    let source = folder.write("t.csv", format!("{HEADER}{}", rows(200)));
    let found = inspect(&source, &InspectOptions::default()).unwrap();
    assert_eq!((found.rows, found.invalid_rows, found.duplicate_rows), (200, 0, 0));
    assert_eq!(found.columns.len(), 19);
    assert_eq!(
        (found.columns[0].role, found.columns[1].role, found.columns[10].role),
        (Role::Other, Role::Position, Role::Momentum)
    );
    let event = found.columns[0].range.unwrap();
    assert_eq!((event.min, event.max, event.mean), (0.0, 199.0, 99.5));

    let positions = found.positions.unwrap();
    assert_eq!(positions.dead, ["cy", "cz", "ox", "oz", "sx", "sy", "sz"]);
    assert_eq!(positions.rank, 2);
    let guess = positions.unit_guess.unwrap();
    assert_eq!(guess.unit, "bohr");
    assert!(guess.reason.starts_with("guess: "), "{}", guess.reason);
    let momenta = found.momenta.unwrap();
    assert_eq!(momenta.dead, ["pcz", "poz", "psx", "psz"]);
    // pcx and pox are bound to each other, and pcy = poy = -psy/2.
    assert_eq!(momenta.rank, 2);
    assert_eq!(momenta.unit_guess.unwrap().unit, "au");
    for axis in found.momentum_sum.unwrap() {
        assert!(axis.mean.abs() < 1e-10 && axis.sd < 1e-10, "{axis:?}");
    }
}

#[test]
fn the_energy_release_is_that_of_the_forward_model() {
    let folder = Folder::new();
    let row = "0,0,0,0,2.2,0,0,-3,0,0,93.844,0,0,209.240,-294.365,0,-303.085,294.365,0\n";
    let source = folder.write("t.csv", format!("{HEADER}{row}"));
    let momenta = [93.844, 0.0, 0.0, 209.240, -294.365, 0.0, -303.085, 294.365, 0.0];
    let expected = kinetic_energy_release(&ocs(), &momenta) * HARTREE_EV;
    // `docs/spec.md#reference-values` gives 107.880 eV for these momenta.
    assert!((expected - 107.880).abs() < 1e-2, "{expected}");
    for molecule in [None, Some(ocs())] {
        let guessed = molecule.is_none();
        let found = inspect(&source, &InspectOptions { molecule, ..Default::default() }).unwrap();
        let energy = found.kinetic_energy_release.unwrap();
        assert!((energy.mean_ev - expected).abs() < 1e-9);
        assert_eq!(energy.sd_ev, 0.0);
        assert_eq!(energy.quantiles_ev[2].0, 0.5);
        assert_eq!(
            energy.masses.starts_with("guessed from column names: `pcx` 12.011 u"),
            guessed,
            "{}",
            energy.masses
        );
    }
    // The same momenta in kg m/s give the same energy.
    let si: Vec<String> =
        momenta.iter().map(|p| format!("{:e}", p * 1.992_851_914_10e-24)).collect();
    let source =
        folder.write("si.csv", format!("{HEADER}0,0,0,0,2.2,0,0,-3,0,0,{}\n", si.join(",")));
    let found = inspect(&source, &InspectOptions::default()).unwrap();
    assert_eq!(found.momenta.unwrap().unit_guess.unwrap().unit, "si");
    assert!((found.kinetic_energy_release.unwrap().mean_ev - expected).abs() < 1e-6);
}

#[test]
fn bad_cells_and_duplicates_are_counted() {
    let folder = Folder::new();
    let text = "a,pcx,pcy,pcz,note\n1,1,2,3,x\n1,1,2,3,x\nnan,4,5,6,y\n1,,2,3,z\n2,1\n";
    let found = inspect(&folder.write("t.csv", text), &InspectOptions::default()).unwrap();
    assert_eq!((found.rows, found.invalid_rows, found.duplicate_rows), (5, 5, 1));
    let invalid: Vec<u64> = found.columns.iter().map(|column| column.invalid).collect();
    assert_eq!(invalid, [2, 2, 1, 1, 5]);
    assert_eq!(found.columns[4].range, None);
    assert_eq!(found.columns[1].range.unwrap().max, 4.0);
    assert!(found.positions.is_none());
    // Three complete rows of momenta: (1,2,3), (1,2,3), (4,5,6) add up to 2, 3, 4 on average for one atom.
    assert_eq!(found.momentum_sum.unwrap().map(|axis| axis.mean), [2.0, 3.0, 4.0]);
    let json = serde_json::to_value(&found.columns[4]).unwrap();
    assert_eq!(
        json,
        serde_json::json!({"name": "note", "role": "other", "invalid": 5, "dead": false})
    );
}

#[test]
fn parts_of_names_may_be_separated() {
    let folder = Folder::new();
    let text = "p_C_x,p_C_y,p_C_z,O_x,O_y,O_z,p.Br.x,p.Br.y,p.Br.z\n1,2,0,1,2,3,-1,-2,0\n2,4,0,3,1,2,-2,-4,0\n";
    let found = inspect(&folder.write("t.csv", text), &InspectOptions::default()).unwrap();
    assert_eq!(found.momenta.unwrap().columns.len(), 6);
    assert_eq!(found.positions.unwrap().columns.len(), 3);
    let masses = found.kinetic_energy_release.unwrap().masses;
    assert!(masses.contains("`p_C_x` 12.011 u, `p.Br.x` 79.904 u"), "{masses}");
    let lead = "Pb_x,Pb_y,Pb_z,p_Pb_x,p_Pb_y,p_Pb_z\n1,2,3,4,5,6\n2,3,4,5,6,7\n";
    let found = inspect(&folder.write("lead.csv", lead), &InspectOptions::default()).unwrap();
    assert_eq!(found.positions.unwrap().columns, ["Pb_x", "Pb_y", "Pb_z"]);
    assert_eq!(found.momenta.unwrap().columns, ["p_Pb_x", "p_Pb_y", "p_Pb_z"]);
}

#[test]
fn columns_can_be_given_and_need_no_molecule() {
    let folder = Folder::new();
    let text = "u,v,w\n1,2,0\n2,4,0\n3,6,1\n";
    let options = InspectOptions {
        x: vec![ColumnRef::from("u"), ColumnRef::from(1)],
        y: vec![ColumnRef::from("w")],
        molecule: None,
    };
    let found = inspect(&folder.write("t.csv", text), &options).unwrap();
    let positions = found.positions.unwrap();
    assert_eq!((positions.rank, positions.unit_guess), (1, None));
    assert_eq!(found.momenta.unwrap().rank, 1);
    assert_eq!((found.momentum_sum, found.kinetic_energy_release), (None, None));
    let typo = InspectOptions { y: vec![ColumnRef::from("z")], ..Default::default() };
    assert!(inspect(&folder.write("t.csv", text), &typo).is_err());
}
