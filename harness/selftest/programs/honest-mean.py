right_answer()
