from ext.maps.packed_map cimport Kept

cdef Kept* kept_json(const char* json, Py_ssize_t size) except NULL
