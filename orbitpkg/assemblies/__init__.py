"""Assemblies of scientific data: xarray arrays in netCDF files in a bucket, each pinned by its hash.

::

    from orbitpkg.assemblies import get_assembly

    assembly = get_assembly("dicarlo.MajajHong2015.public")

The package reads and writes the formats of BrainIO: ``lookup.csv`` catalogues, stimulus sets (a CSV and a ZIP file) and
data assemblies in netCDF. Its functions have the signatures of BrainIO and Brain-Score. A file is returned only after
its hash has been verified, and catalogue entries are never changed.

Names are imported on first use. Most of them need the extra ``netcdf``; without it, using one raises ``MissingExtra``.
"""

from __future__ import annotations

from orbitpkg.lazy import lazy_names

# Fetching files and listing catalogues need no extra.
_WITHOUT_EXTRAS = ("orbitpkg.assemblies.catalogues", "orbitpkg.assemblies.fetching")


def _require_extras(module: str, name: str) -> None:
    if module in _WITHOUT_EXTRAS:
        return
    from orbitpkg.extras import require

    for library in ("xarray", "h5netcdf", "h5py"):
        require(library, extra="netcdf", what=f"orbitpkg.assemblies.{name}")


TYPE_CHECKING = False
if TYPE_CHECKING:
    from orbitpkg.assemblies.arrays import BehavioralAssembly as BehavioralAssembly
    from orbitpkg.assemblies.arrays import DataAssembly as DataAssembly
    from orbitpkg.assemblies.arrays import MetadataAssembly as MetadataAssembly
    from orbitpkg.assemblies.arrays import ModelFeaturesAssembly as ModelFeaturesAssembly
    from orbitpkg.assemblies.arrays import NeuroidAssembly as NeuroidAssembly
    from orbitpkg.assemblies.arrays import NeuronRecordingAssembly as NeuronRecordingAssembly
    from orbitpkg.assemblies.arrays import PropertyAssembly as PropertyAssembly
    from orbitpkg.assemblies.arrays import SpikeTimesAssembly as SpikeTimesAssembly
    from orbitpkg.assemblies.catalogues import list_assemblies as list_assemblies
    from orbitpkg.assemblies.catalogues import list_stimulus_sets as list_stimulus_sets
    from orbitpkg.assemblies.fetching import fetch_file as fetch_file
    from orbitpkg.assemblies.loading import AssemblyLoader as AssemblyLoader
    from orbitpkg.assemblies.loading import StimulusMergeAssemblyLoader as StimulusMergeAssemblyLoader
    from orbitpkg.assemblies.loading import get_assembly as get_assembly
    from orbitpkg.assemblies.loading import get_stimulus_set as get_stimulus_set
    from orbitpkg.assemblies.loading import load_assembly_from_s3 as load_assembly_from_s3
    from orbitpkg.assemblies.loading import load_from_s3 as load_from_s3
    from orbitpkg.assemblies.loading import load_stimulus_set_from_s3 as load_stimulus_set_from_s3
    from orbitpkg.assemblies.packaging import Stored as Stored
    from orbitpkg.assemblies.packaging import package_data_assembly as package_data_assembly
    from orbitpkg.assemblies.packaging import package_stimulus_set as package_stimulus_set
    from orbitpkg.assemblies.packaging import upload_data_assembly as upload_data_assembly
    from orbitpkg.assemblies.stimuli import StimulusSet as StimulusSet
else:
    __all__, __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "orbitpkg.assemblies.arrays": (
                "BehavioralAssembly",
                "DataAssembly",
                "MetadataAssembly",
                "ModelFeaturesAssembly",
                "NeuroidAssembly",
                "NeuronRecordingAssembly",
                "PropertyAssembly",
                "SpikeTimesAssembly",
            ),
            "orbitpkg.assemblies.catalogues": ("list_assemblies", "list_stimulus_sets"),
            "orbitpkg.assemblies.fetching": ("fetch_file",),
            "orbitpkg.assemblies.loading": (
                "AssemblyLoader",
                "StimulusMergeAssemblyLoader",
                "get_assembly",
                "get_stimulus_set",
                "load_assembly_from_s3",
                "load_from_s3",
                "load_stimulus_set_from_s3",
            ),
            "orbitpkg.assemblies.packaging": (
                "Stored",
                "package_data_assembly",
                "package_stimulus_set",
                "upload_data_assembly",
            ),
            "orbitpkg.assemblies.stimuli": ("StimulusSet",),
        },
        before_import=_require_extras,
    )
