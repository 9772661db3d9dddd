from libc.stdint cimport int32_t

from ext.kernel.core cimport Core
from ext.kernel.flow cimport NodeCore
from ext.kernel.run cimport Run

cdef int32_t act(Core core, Run run, NodeCore node, list entries) except -1
