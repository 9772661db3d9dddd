cdef bytes transcode(bytes json)
