"""What crosses between the operator and this pod: annotations, the grant, reports."""
