"""Assemblies of scientific data: xarray arrays in netCDF files in a bucket, each pinned by its hash.

::

    from orbitpkg.assemblies import get_assembly

    assembly = get_assembly("dicarlo.MajajHong2015.public")

Speaks the formats of BrainIO (``lookup.csv`` catalogues, stimulus sets of a CSV and a ZIP file, data assemblies in
netCDF) and takes the calls of BrainIO and Brain-Score. What is here is loaded when it is first asked for; without
``pip install 'orbitpkg[netcdf]'`` asking for it says so.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from orbitpkg.assemblies.arrays import (
        BehavioralAssembly,
        DataAssembly,
        MetadataAssembly,
        ModelFeaturesAssembly,
        NeuroidAssembly,
        NeuronRecordingAssembly,
        PropertyAssembly,
        SpikeTimesAssembly,
    )
    from orbitpkg.assemblies.catalogues import list_assemblies, list_stimulus_sets
    from orbitpkg.assemblies.fetching import fetch_file
    from orbitpkg.assemblies.loading import (
        AssemblyLoader,
        StimulusMergeAssemblyLoader,
        get_assembly,
        get_stimulus_set,
        load_assembly_from_s3,
        load_from_s3,
        load_stimulus_set_from_s3,
    )
    from orbitpkg.assemblies.packaging import (
        Stored,
        package_data_assembly,
        package_stimulus_set,
        upload_data_assembly,
    )
    from orbitpkg.assemblies.stimuli import StimulusSet

__all__ = [
    "AssemblyLoader",
    "BehavioralAssembly",
    "DataAssembly",
    "MetadataAssembly",
    "ModelFeaturesAssembly",
    "NeuroidAssembly",
    "NeuronRecordingAssembly",
    "PropertyAssembly",
    "SpikeTimesAssembly",
    "StimulusMergeAssemblyLoader",
    "StimulusSet",
    "Stored",
    "fetch_file",
    "get_assembly",
    "get_stimulus_set",
    "list_assemblies",
    "list_stimulus_sets",
    "load_assembly_from_s3",
    "load_from_s3",
    "load_stimulus_set_from_s3",
    "package_data_assembly",
    "package_stimulus_set",
    "upload_data_assembly",
]

_ROOMS = {
    "AssemblyLoader": "loading",
    "StimulusMergeAssemblyLoader": "loading",
    "StimulusSet": "stimuli",
    "Stored": "packaging",
    "fetch_file": "fetching",
    "get_assembly": "loading",
    "get_stimulus_set": "loading",
    "list_assemblies": "catalogues",
    "list_stimulus_sets": "catalogues",
    "load_assembly_from_s3": "loading",
    "load_from_s3": "loading",
    "load_stimulus_set_from_s3": "loading",
    "package_data_assembly": "packaging",
    "package_stimulus_set": "packaging",
    "upload_data_assembly": "packaging",
}
# Files are fetched, and catalogues read, without any extra.
_WITHOUT_EXTRAS = {"fetching", "catalogues"}


def __getattr__(name: str) -> object:
    if name not in __all__:
        msg = f"module 'orbitpkg.assemblies' has no attribute {name!r}"
        raise AttributeError(msg)
    from importlib import import_module

    room = _ROOMS.get(name, "arrays")
    if room not in _WITHOUT_EXTRAS:
        from orbitpkg.extras import require

        for library in ("xarray", "h5netcdf", "h5py"):
            require(library, extra="netcdf", what=f"orbitpkg.assemblies.{name}")
    value = getattr(import_module(f"orbitpkg.assemblies.{room}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
