"""From the pulse to vital signs, each with its confidence or the reason why there is none."""

from kdphys.vitals.measure import measure_vitals as measure_vitals
