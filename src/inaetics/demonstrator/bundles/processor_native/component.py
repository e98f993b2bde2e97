"""As the bundle `processor`, computed by the native library of the image. Without that it does not install."""

from __future__ import annotations

from pelix.constants import BundleActivator
from pelix.ipopo.decorators import ComponentFactory, Instantiate, Property, Provides, Requires

from inaetics.demonstrator.api import DATA_STORE, PIPELINE_CONTROL, PROCESSOR, SAMPLE_QUEUE, STATS_PROVIDER
from inaetics.demonstrator.processing import CostCheck, Processing
from inaetics.node import api

from .kernel import NativeKernel

_KERNEL = NativeKernel()
"""Loaded with the bundle: where there is no library, its installation fails with the reason, and an agent goes back."""


@BundleActivator
class Activator(CostCheck):
    """Looks at the unit's properties."""


@ComponentFactory(__name__ + ".processor")
@Requires("_queue", SAMPLE_QUEUE)
@Requires("_store", DATA_STORE)
@Provides([PROCESSOR, PIPELINE_CONTROL, STATS_PROVIDER])
@Property("_exported", api.EXPORTED_INTERFACES, [PIPELINE_CONTROL])
@Instantiate(__name__ + ".processor")
class Processor(Processing):
    """Works while there are a queue and a datastore."""

    def __init__(self) -> None:
        super().__init__(_KERNEL)
